import Diagnostics

/// A division of a set into parts, each with its share of every class.
///
/// Within a class, pictures are ordered by the SHA-256 of seed and name, and the parts are
/// consecutive pieces of that order: the same names give the same parts wherever the set lies, and
/// a new picture moves but few of the others.
public struct ImageSetSplit: Sendable {
  public struct Part: Equatable, Sendable {
    public var name: String
    /// Above 0; shares of all parts add up to at most 1.
    public var share: Double

    public init(name: String, share: Double) {
      self.name = name
      self.share = share
    }
  }

  /// Picture numbers by part, ascending.
  public let indices: [[Int]]

  public init(_ source: any ImageSource, _ parts: [Part], seed: UInt64) {
    precondition(
      parts.allSatisfy { $0.share > 0 } && parts.reduce(0) { $0 + $1.share } < 1 + 1e-9,
      "shares \(parts.map(\.share))")
    var byClass = [[Int]](repeating: [], count: max(1, source.classCount ?? 1))
    for i in 0..<source.count { byClass[source.label(i) ?? 0].append(i) }
    var indices = [[Int]](repeating: [], count: parts.count)
    for members in byClass {
      let order = members.map { i in
        let text = Array("\(seed) \(source.name(i))".utf8)
        return (rank: text.withUnsafeBytes { sha256Hex(of: $0) }, index: i)
      }.sorted { $0.rank < $1.rank }
      var (start, share) = (0, 0.0)
      for (k, part) in parts.enumerated() {
        share += part.share
        let end = min(order.count, Int((share * Double(order.count)).rounded()))
        indices[k] += order[start..<end].map(\.index)
        start = end
      }
    }
    self.indices = indices.map { $0.sorted() }
  }
}
