import Diagnostics
import FlowComm
import FlowCore
import FlowData
import FlowNN
import FlowTensor

/// Trains a velocity field by flow matching (Lipman et al. 2022, arXiv 2210.02747, algorithm of
/// section 3) on latents, over all ranks of a job.
public final class Trainer {
  public struct Plan {
    public var objective: FlowObjective
    /// Samples per micro-batch.
    public var microBatchSize: Int
    /// Probability of a horizontal flip.
    public var flip: Float
    /// False leaves out labels that the data have.
    public var usesLabels: Bool
    public var learningRate: Double
    public var schedule: LearningRateSchedule

    public init(
      objective: FlowObjective, microBatchSize: Int, flip: Float, usesLabels: Bool,
      learningRate: Double, schedule: LearningRateSchedule
    ) {
      (self.objective, self.microBatchSize, self.flip) = (objective, microBatchSize, flip)
      (self.usesLabels, self.learningRate, self.schedule) = (usesLabels, learningRate, schedule)
    }
  }

  public let plan: Plan
  public let network: Network
  public let optimizer: DataParallelOptimizer
  private let shards: ShardPlan
  private let source: any LatentRowSource
  private let codec: PixelCodec?

  /// Collective.
  ///
  /// - Parameters:
  ///   - count: rows of the data set.
  ///   - codec: for couplings that go through pixels.
  public init(
    _ network: Network, plan: Plan, settings: DataParallelOptimizer.Settings, count: Int,
    source: any LatentRowSource, codec: PixelCodec? = nil, communicator: any Communicator
  ) throws {
    self.plan = plan
    self.network = network
    self.source = source
    self.codec = codec
    shards = try ShardPlan(
      seed: plan.objective.seed, count: count, microBatchSize: plan.microBatchSize,
      microBatches: settings.microBatches)
    optimizer = try DataParallelOptimizer(
      network.store, communicator: communicator, settings: settings)
    optimizer.initialize(seed: plan.objective.seed)
  }

  public var stepsPerEpoch: Int { shards.stepsPerEpoch }
  public var batchSize: Int { shards.batchSize }

  /// Collective: the next step.
  public func step(requests: RunRequests = []) throws -> StepReport {
    let index = optimizer.step
    let local = optimizer.exchange.localMicroBatches
    let batches = try source.rows(step: index) { self.requests(step: $0) }
    return try optimizer.step(
      learningRate: plan.schedule.rate(step: index, base: plan.learningRate), requests: requests
    ) { k in
      try loss(batches[k - local.lowerBound], step: index)
    }
  }

  /// The loss of one micro-batch, riding a tape of its own.
  private func loss(_ batch: LatentBatch, step: Int) throws -> Tensor {
    var batch = batch
    if !plan.usesLabels { batch.labels = nil }
    let (point, condition) = try plan.objective.point(
      batch, shape: network.specification.latentShape, step: step, codec: codec)
    let tape = Tape()
    let v = network(tape.ride(constant: point.xt), t: point.t, condition: condition)
    return meanSquaredError(v, point.velocity)
  }

  /// For every rank its micro-batches, as rows of the data set.
  private func requests(step: Int) -> [[[LatentRequest]]] {
    let ranks = optimizer.communicator.size
    let perRank = optimizer.settings.microBatches / ranks
    return (0..<ranks).map { rank in
      (0..<perRank).map { k in
        shards.microBatch(step: step, rank * perRank + k).map { index in
          let draw = Philox(
            seed: plan.objective.seed, stream: .flip, step: step, index: index
          ).uniform()
          return LatentRequest(index: index, flipped: draw < plan.flip)
        }
      }
    }
  }
}
