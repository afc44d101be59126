import FlowData

/// One compared quantity of a reference case.
public struct ReplayRow: Sendable, Equatable {
  public let name: String
  /// Relative L2 error; for integers, the difference.
  public let error: Double
  /// Largest error that passes; nil where only the figure is shown.
  public let tolerance: Double?
  public let ok: Bool

  public init(name: String, error: Double, tolerance: Double?, ok: Bool) {
    self.name = name
    self.error = error
    self.tolerance = tolerance
    self.ok = ok
  }

  /// `error` against `tolerance`; an error that is not a number fails.
  public init(name: String, error: Double, tolerance: Double) {
    self.init(name: name, error: error, tolerance: tolerance, ok: error <= tolerance)
  }
}

extension ReferenceCase {
  /// The row of a float output, against the reference's float32 result or, where that has the
  /// same shape, its float64 one, whichever is nearer: both are right within the tolerance. nil
  /// where the case says that float32 results cannot be compared.
  ///
  /// - Parameter unstated: the tolerance where the case names none; nil leaves the output out.
  func row(_ name: String, _ found: [Double], unstated: Double? = nil) throws -> ReplayRow? {
    let bound: Double
    switch tolerance(.outputs, name) {
    case .relativeL2(let value): bound = value
    case .notComparable: return nil
    case .unstated:
      guard let unstated else { return nil }
      bound = unstated
    }
    let references = try [Group.outputs, .outputs64].filter { contains($0, name) }
      .map { try doubles($0, name) }
      .filter { $0.count == found.count }
    let errors = references.map { relativeL2(found: found, expected: $0) }
    return ReplayRow(name: name, error: errors.min() ?? .infinity, tolerance: bound)
  }

  func row(_ name: String, _ found: [Float], unstated: Double? = nil) throws -> ReplayRow? {
    try row(name, found.map(Double.init), unstated: unstated)
  }

  /// The row of an integer output, which is exact. An adaptive solver's number of evaluations may
  /// be that of the float64 trajectory: a ratio within round-off of 1 decides.
  func row(exactly name: String, _ found: [Int]) throws -> ReplayRow {
    let references = try [Group.outputs, .outputs64].filter { contains($0, name) }
      .map { try ints($0, name) }
      .filter { $0.count == found.count }
    let errors = references.map { zip($0, found).map { Double(abs($0 - $1)) }.max() ?? 0 }
    return ReplayRow(name: name, error: errors.min() ?? .infinity, tolerance: 0)
  }
}
