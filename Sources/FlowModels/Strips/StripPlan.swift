import Diagnostics
import FlowTensor

/// How an image too large for the memory is computed in strips of rows, on one rank or several:
/// which maps are stored, and which are computed again.
///
/// The result does not depend on it.
public struct StripPlan: Sendable {
  let choices: [StripChoice]
  let shares: RowShares
  /// Bytes of tensors that the rank with most rows has at the worst moment, beside the weights and
  /// the input.
  public let peakBytes: Int
  /// What the choices that need least would need.
  public let leastBytes: Int

  /// The extents of strips that are worth the while: fewer pixels than the second number cost more
  /// in rows computed twice, more than the first gain nothing.
  private static let pixels = 65_536

  /// The fastest choices that fit.
  ///
  /// - Parameters:
  ///   - first: of the map in front of the first step
  ///   - limit: bytes for `peakBytes`; nil for no limit
  ///   - occupied: bytes that `limit` has been reduced by, for the error to name the whole
  ///   - subject: what the error is about, such as «--memory 2G»
  ///   - work: what it would be too little for
  /// - Throws: `UserError` of status `usage` naming the least possible.
  init(
    _ steps: [StripStep], _ first: StripExtents, limit: Int?, occupied: Int, subject: String,
    work: String
  ) throws {
    var extents = first
    var chosen: [StripChoice] = []
    var (peak, least) = (0, 0)
    for step in steps {
      let costs = Self.options(step, extents.after(step)).map { ($0, extents.cost(of: step, $0)) }
      least = max(least, costs.map(\.1.bytes).min()!)
      let fitting = costs.filter { $0.1.bytes <= limit ?? .max }
      // A first option of equal work has the longer strips.
      if let best = fitting.min(by: { $0.1.work < $1.1.work }) {
        chosen.append(best.0)
        peak = max(peak, best.1.bytes)
      }
      extents = extents.after(step)
    }
    guard chosen.count == steps.count else {
      let ranks = first.shares.ranks.count
      throw UserError(
        .usage, subject, found: "too little for \(work)",
        expected: "at least \(megabytes(least + occupied))",
        advice: ranks == 1
          ? "several ranks that share an image need less each"
          : "that is for each of \(ranks) ranks; more ranks need less each")
    }
    (choices, shares) = (chosen, first.shares)
    (peakBytes, leastBytes) = (peak, least)
  }

  private static func options(_ step: StripStep, _ y: StripExtents) -> [StripChoice] {
    var rows = max(2, min(y.own, pixels / y.width))
    var heights = [rows]
    while rows > 2 {
      rows = max(2, rows / 2)
      heights.append(rows)
    }
    guard case .residual(_, let upsampling) = step else {
      return heights.map { StripChoice(rows: $0) }
    }
    return heights.flatMap { rows in
      [true, false].flatMap { hidden in
        (upsampling == nil ? [true] : [true, false]).map {
          StripChoice(rows: rows, storesUpsampled: $0, storesHidden: hidden)
        }
      }
    }
  }
}

/// Megabytes, rounded up.
func megabytes(_ bytes: Int) -> String { "\((bytes + 999_999) / 1_000_000) MB" }
