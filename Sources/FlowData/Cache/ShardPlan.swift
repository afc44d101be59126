import Diagnostics
import FlowTensor

/// Which samples each training step sees: a function of seed and step alone, so that any number of
/// ranks, and a run that resumes, draw the same batches.
///
/// Every epoch is a new permutation of the data set. Its last samples that fill no whole batch are
/// left out (as a data loader with `drop_last` does), and the next epoch begins.
/// Keeps the permutation of the epoch last asked for; used by one thread at a time.
public final class ShardPlan {
  public let seed: UInt64
  /// Samples in the data set.
  public let count: Int
  /// Samples per micro-batch, m.
  public let microBatchSize: Int
  /// Micro-batches per step, K.
  public let microBatches: Int

  private var epoch = -1
  private var order: [Int] = []

  /// Samples per step.
  public var batchSize: Int { microBatchSize * microBatches }
  public var stepsPerEpoch: Int { count / batchSize }

  /// Throws `.config` if the data set does not fill one batch.
  public init(seed: UInt64, count: Int, microBatchSize: Int, microBatches: Int) throws {
    precondition(
      microBatchSize > 0 && microBatches > 0, "\(microBatches) micro-batches of \(microBatchSize)")
    let batch = microBatchSize * microBatches
    guard count >= batch else {
      throw UserError(
        .config, "batch size", found: "\(count) samples for a batch of \(batch)",
        expected: "at least one batch", advice: "use a smaller batch, or more data")
    }
    self.seed = seed
    self.count = count
    self.microBatchSize = microBatchSize
    self.microBatches = microBatches
  }

  /// The epoch, from 0, that step `step`, from 0, belongs to.
  public func epoch(ofStep step: Int) -> Int { step / stepsPerEpoch }

  /// Sample indices of the whole batch of step `step`, from 0.
  public func indices(step: Int) -> [Int] { Array(batch(step)) }

  /// Sample indices of micro-batch `k` of step `step`, both from 0.
  public func microBatch(step: Int, _ k: Int) -> [Int] {
    precondition((0..<microBatches).contains(k), "micro-batch \(k) of \(microBatches)")
    let batch = batch(step)
    let start = batch.startIndex + k * microBatchSize
    return Array(batch[start..<start + microBatchSize])
  }

  private func batch(_ step: Int) -> ArraySlice<Int> {
    precondition(step >= 0, "step \(step)")
    let wanted = epoch(ofStep: step)
    if wanted != epoch {
      order = permutation(of: count, Philox(seed: seed, stream: .shuffle, step: wanted))
      epoch = wanted
    }
    let start = step % stepsPerEpoch * batchSize
    return order[start..<start + batchSize]
  }
}
