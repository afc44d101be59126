/// Which part of the parameter arena each rank owns (ZeRO-1): whole chunks, as even as possible,
/// in rank order.
///
/// Scalars over the arena are Double sums per chunk combined in chunk order, so a shard edge
/// inside a chunk would change them.
public struct ShardLayout: Equatable, Sendable {
  /// Elements per chunk.
  public static let chunk = 65_536

  /// Elements of the arena, a multiple of `chunk`.
  public let count: Int
  public let ranks: Int

  public init(count: Int, ranks: Int) {
    precondition(
      count >= 0 && count % ShardLayout.chunk == 0,
      "an arena of \(count) elements is not a whole number of \(ShardLayout.chunk)")
    precondition(ranks >= 1, "\(ranks) ranks")
    self.count = count
    self.ranks = ranks
  }

  /// `count` rounded up to whole chunks.
  public static func padded(_ count: Int) -> Int { (count + chunk - 1) / chunk * chunk }

  /// Indices of the chunks that `rank` owns.
  public func chunks(of rank: Int) -> Range<Int> {
    let chunks = count / ShardLayout.chunk
    return chunks * rank / ranks..<chunks * (rank + 1) / ranks
  }

  /// Elements of the arena that `rank` owns; may be empty.
  public func range(of rank: Int) -> Range<Int> {
    let owned = chunks(of: rank)
    return owned.lowerBound * ShardLayout.chunk..<owned.upperBound * ShardLayout.chunk
  }
}
