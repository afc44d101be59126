import CMPI
import Diagnostics
import Foundation

/// One global step's gradients, from this rank's micro-batches to its shard of the sum over all.
///
/// A global step is K micro-batches of fixed size; rank r of N computes `localMicroBatches`, in
/// order. With every method but `mpi` the sum has the bits of one fixed tree over 0 ..< K, so any
/// power-of-two N ≤ K gives the same parameters.
///
///     for index in exchange.localMicroBatches {
///       …                                              // differentiate into exchange.arena
///       tape.backward(from: loss) { exchange.finished($0) }
///       exchange.endMicroBatch()
///     }
///     let shard = try exchange.wait()                   // summed, in place in the arena
///     …                                                 // update this rank's shard of the values
///     try exchange.gatherParameters(values)
///
/// Between two micro-batches the arena's content is dead: clear or overwrite it.
public final class GradientExchange {
  /// How the ranks' sums are formed.
  public enum Method: String, Sendable, CaseIterable {
    /// The shared window where all ranks share a machine with room for it, else pairwise.
    case tree
    case window
    case pairwise
    /// MPI's own all-reduce; bits depend on the number of ranks.
    case mpi
  }

  public struct Options: Sendable {
    public var method = Method.tree
    /// Compute threads of each rank.
    public var threadsPerRank = 1
    /// Allow a communication thread; used where it has a core to itself.
    public var overlap = true
    /// Cores of this machine that the job may use.
    public var cores = usableCores()
    /// Free bytes for shared windows; nil asks the machine.
    public var sharedMemoryRoom: Int?

    public init() {}
  }

  public let layout: ShardLayout
  /// Micro-batch indices of this rank, in order.
  public let localMicroBatches: Range<Int>
  /// What a person should know about the method chosen, the same on all ranks.
  public let note: String?
  /// Buckets leave during the last backward pass.
  public var overlaps: Bool { thread != nil }
  /// `layout.count` floats to differentiate into; lives as long as this object.
  public var arena: UnsafeMutablePointer<Float> { reduction.arena }
  /// This rank's part of the arena.
  public var shard: UnsafeMutableBufferPointer<Float> {
    let range = layout.range(of: communicator.rank)
    return UnsafeMutableBufferPointer(start: arena + range.lowerBound, count: range.count)
  }

  private let communicator: any Communicator
  private let reduction: any GradientReduction
  private let accumulator: MicroBatchAccumulator
  private let thread: ReductionThread?
  private var buckets = BucketBuilder()

  /// Collective; all ranks pass the same numbers.
  ///
  /// - Parameters:
  ///   - count: floats of the arena, a multiple of `ShardLayout.chunk`.
  ///   - microBatches: K, a power of two, at least the number of ranks.
  ///   - split: runs element-wise sums on the compute threads.
  /// - Throws: `UserError` `config` if ranks and micro-batches do not fit; `io` from MPI.
  public init(
    _ communicator: any Communicator, count: Int, microBatches: Int, options: Options = Options(),
    split: @escaping RangeSplitter = { $1(0..<$0) }
  ) throws {
    try GradientExchange.check(ranks: communicator.size, microBatches: microBatches)
    self.communicator = communicator
    layout = ShardLayout(count: count, ranks: communicator.size)
    let local = microBatches / communicator.size
    localMicroBatches = communicator.rank * local..<(communicator.rank + 1) * local
    let (reduction, note) = try makeReduction(communicator, count: count, options)
    let accumulator = MicroBatchAccumulator(
      arena: reduction.arena, count: count, microBatches: local, split: split)
    self.reduction = reduction
    self.note = note
    self.accumulator = accumulator
    // Off where it would take a core from the computing threads. All ranks or none: the buckets
    // are messages of their own.
    let spare = communicator.nodeRanks.count * options.threadsPerRank < options.cores
    let wanted = options.overlap && spare && communicator.allowsThreads && communicator.size > 1
    let all = try communicator.allReduce([wanted ? 1 : 0], .min)[0] == 1
    if all, let pairwise = reduction as? PairwiseReduction {
      thread = ReductionThread {
        accumulator.complete($0)
        try pairwise.reduce($0)
      }
    } else {
      thread = nil
    }
  }

  deinit { thread?.end() }

  /// The arena's `range` will not change again in the micro-batch under way. Each element at most
  /// once per micro-batch, in the same order on all ranks. Has an effect in the last micro-batch
  /// only, and there only with `overlaps`.
  public func finished(_ range: Range<Int>) {
    precondition(
      range.clamped(to: 0..<layout.count) == range, "\(range) of an arena of \(layout.count)")
    guard let thread, accumulator.isLast, let bucket = buckets.add(range) else { return }
    thread.submit(bucket)
  }

  /// The arena holds the gradient of the next of `localMicroBatches`.
  public func endMicroBatch() {
    guard let thread, accumulator.isLast else {
      accumulator.add()
      return
    }
    thread.submit(buckets.rest(of: layout.count))
  }

  /// Collective, after the last `endMicroBatch()`: this rank's shard of the sum over all
  /// micro-batches, valid until the arena is written or `gatherParameters` is called.
  public func wait() throws -> UnsafeMutableBufferPointer<Float> {
    if let thread {
      defer { accumulator.restart() }
      try thread.drain()
    } else {
      precondition(accumulator.added == 0, "\(accumulator.added) micro-batches of this step only")
      try reduction.reduce()
    }
    return shard
  }

  /// Collective: every rank's shard of `values` (`layout.count` floats) to all ranks. The gradient
  /// arena is undefined afterwards.
  public func gatherParameters(_ values: UnsafeMutablePointer<Float>) throws {
    try reduction.gather(values)
  }

  private static func check(ranks: Int, microBatches: Int) throws {
    guard microBatches > 0, microBatches.nonzeroBitCount == 1 else {
      throw UserError(
        .config, "micro-batches per step", found: "\(microBatches)", expected: "a power of two")
    }
    guard ranks <= microBatches, ranks.nonzeroBitCount == 1 else {
      throw UserError(
        .config, "ranks", found: "\(ranks) ranks for \(microBatches) micro-batches per step",
        expected: "a power of two, at most \(microBatches)",
        advice: "launch fewer ranks, or configure more (and smaller) micro-batches")
    }
  }
}

/// Cores that this process may run on.
public func usableCores() -> Int { Int(lf_usable_cores()) }

/// Chooses the reduction, the same on all ranks, and says why if it is not the fastest.
private func makeReduction(
  _ communicator: any Communicator, count: Int, _ options: GradientExchange.Options
) throws -> (any GradientReduction, note: String?) {
  if communicator.size == 1 { return (SingleReduction(count: count), nil) }
  switch options.method {
  case .mpi: return (MPIReduction(communicator, count: count), nil)
  case .pairwise: return (PairwiseReduction(communicator, count: count), nil)
  case .tree, .window: break
  }
  let bytes = count * MemoryLayout<Float>.stride
  // Open MPI keeps its own message buffers there too: 16 MiB stay free.
  let needed = communicator.size * bytes + 16 << 20
  let room = options.sharedMemoryRoom ?? sharedMemoryRoom() ?? 0
  let together = communicator.nodeRanks.count == communicator.size
  let least = try communicator.allReduce([Int64(room), together ? 1 : 0], .min)
  if least[1] == 1, least[0] >= needed, let window = try communicator.sharedWindow(bytes: bytes) {
    return (SharedWindowReduction(communicator, count: count, window: window), nil)
  }
  let reason =
    least[1] == 0
    ? "ranks on several machines"
    : "/dev/shm has \(least[0] >> 20) MiB free and a shared window needs \(needed >> 20) MiB"
  let note = "gradients: pairwise exchange, since \(reason); same bits, slower"
  // Between machines pairwise exchange is the method, not a fallback.
  let expected = least[1] == 0 && options.method == .tree
  return (PairwiseReduction(communicator, count: count), expected ? nil : note)
}
