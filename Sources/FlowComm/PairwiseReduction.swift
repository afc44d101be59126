import CMPI
import Diagnostics

/// Recursive halving and doubling between pairs of ranks at distance 1, 2, 4, … (Thakur,
/// Rabenseifner and Gropp 2005), with the shards dealt so that the additions form the fixed tree.
///
/// At distance d a rank keeps the shards s that agree with it in bit d (r & d == s & d) and gives
/// the others to its peer r ^ d. What it then holds of a shard is the sum over the ranks r / 2d.
final class PairwiseExchange {
  /// Floats per message, 1 MiB: small enough to stay in cache between arrival and addition.
  static let piece = 262_144

  let layout: ShardLayout
  private let communicator: any Communicator
  private let incoming: ArenaMemory

  init(_ communicator: any Communicator, _ layout: ShardLayout) {
    precondition(
      layout.ranks.nonzeroBitCount == 1, "\(layout.ranks) ranks; a power of two is needed")
    self.communicator = communicator
    self.layout = layout
    incoming = ArenaMemory(count: PairwiseExchange.piece)
  }

  /// Sums `range` of all ranks' arenas; each rank's own shard of it is complete afterwards.
  func reduce(_ arena: UnsafeMutablePointer<Float>, _ range: Range<Int>) throws {
    let rank = communicator.rank
    var distance = 1
    while distance < layout.ranks {
      let peer = rank ^ distance
      let leaving = pieces(of: range) { $0 & (2 * distance - 1) == peer & (2 * distance - 1) }
      let staying = pieces(of: range) { $0 & (2 * distance - 1) == rank & (2 * distance - 1) }
      for i in 0..<max(leaving.count, staying.count) {
        let out = i < leaving.count ? leaving[i] : 0..<0
        let kept = i < staying.count ? staying[i] : 0..<0
        try communicator.exchange(
          sending: bytes(arena, out), receiving: mutableBytes(incoming.base, 0..<kept.count),
          with: peer, tag: MessageTag.gradients)
        lf_sum_into(arena + kept.lowerBound, incoming.base, kept.count)
      }
      distance *= 2
    }
  }

  /// Spreads every rank's shard of `values` to all ranks.
  func gather(_ values: UnsafeMutablePointer<Float>) throws {
    let rank = communicator.rank
    var distance = layout.ranks / 2
    while distance > 0 {
      let peer = rank ^ distance
      let held = pieces(of: 0..<layout.count) {
        $0 & (2 * distance - 1) == rank & (2 * distance - 1)
      }
      let missing = pieces(of: 0..<layout.count) {
        $0 & (2 * distance - 1) == peer & (2 * distance - 1)
      }
      for i in 0..<max(held.count, missing.count) {
        try communicator.exchange(
          sending: bytes(values, i < held.count ? held[i] : 0..<0),
          receiving: mutableBytes(values, i < missing.count ? missing[i] : 0..<0),
          with: peer, tag: MessageTag.parameters)
      }
      distance /= 2
    }
  }

  /// The parts of `range` in the shards that `belongs` picks, cut into messages.
  private func pieces(of range: Range<Int>, where belongs: (Int) -> Bool) -> [Range<Int>] {
    (0..<layout.ranks).filter(belongs).flatMap { shard in
      let part = layout.range(of: shard).clamped(to: range)
      return stride(from: part.lowerBound, to: part.upperBound, by: PairwiseExchange.piece).map {
        $0..<min($0 + PairwiseExchange.piece, part.upperBound)
      }
    }
  }

  private func bytes(_ base: UnsafeMutablePointer<Float>, _ range: Range<Int>)
    -> UnsafeRawBufferPointer
  {
    UnsafeRawBufferPointer(start: base + range.lowerBound, count: 4 * range.count)
  }

  private func mutableBytes(
    _ base: UnsafeMutablePointer<Float>, _ range: Range<Int>
  ) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base + range.lowerBound, count: 4 * range.count)
  }
}

/// Between machines, or where /dev/shm has no room: pairwise exchange, with the bits of the window.
public final class PairwiseReduction: GradientReduction {
  public let layout: ShardLayout
  public let arena: UnsafeMutablePointer<Float>
  private let memory: ArenaMemory
  private let exchange: PairwiseExchange

  public init(_ communicator: any Communicator, count: Int) {
    layout = ShardLayout(count: count, ranks: communicator.size)
    memory = ArenaMemory(count: count)
    arena = memory.base
    exchange = PairwiseExchange(communicator, layout)
  }

  public func reduce() throws { try reduce(0..<layout.count) }

  /// As `reduce()`, for a part of the arena; all ranks pass the same parts in the same order.
  public func reduce(_ range: Range<Int>) throws { try exchange.reduce(arena, range) }

  public func gather(_ values: UnsafeMutablePointer<Float>) throws { try exchange.gather(values) }
}
