import Diagnostics
import FlowComm
import FlowData
import FlowModels
import FlowNN
import FlowTensor
import Foundation

/// Trains a first stage on images: mean squared error of the reconstruction of a posterior sample,
/// plus a small weight times the KL divergence from the standard normal distribution
/// (Rombach et al. 2022, arXiv 2112.10752, appendix G, «KL-reg.», without the adversarial term).
public final class AutoencoderTrainer {
  public struct Plan: Sendable {
    public var seed: UInt64
    public var microBatchSize: Int
    public var flip: Float
    public var klWeight: Float
    public var learningRate: Double
    public var schedule: LearningRateSchedule

    public init(
      seed: UInt64, microBatchSize: Int, flip: Float, klWeight: Float, learningRate: Double,
      schedule: LearningRateSchedule
    ) {
      (self.seed, self.microBatchSize, self.flip) = (seed, microBatchSize, flip)
      (self.klWeight, self.learningRate, self.schedule) = (klWeight, learningRate, schedule)
    }
  }

  public let plan: Plan
  public let network: AutoencoderKL
  public let store: ParameterStore
  public let optimizer: DataParallelOptimizer
  private let source: any ImageSource
  private let shards: ShardPlan

  /// Collective.
  public init(
    _ configuration: AutoencoderKL.Configuration, plan: Plan,
    settings: DataParallelOptimizer.Settings, source: any ImageSource,
    communicator: any Communicator
  ) throws {
    self.plan = plan
    self.source = source
    store = ParameterStore()
    network = AutoencoderKL(configuration, store.scope)
    shards = try ShardPlan(
      seed: plan.seed, count: source.count, microBatchSize: plan.microBatchSize,
      microBatches: settings.microBatches)
    optimizer = try DataParallelOptimizer(store, communicator: communicator, settings: settings)
    optimizer.initialize(seed: plan.seed)
  }

  public var batchSize: Int { shards.batchSize }

  /// Collective: the next step.
  public func step(requests: RunRequests = []) throws -> StepReport {
    let index = optimizer.step
    return try optimizer.step(
      learningRate: plan.schedule.rate(step: index, base: plan.learningRate), requests: requests
    ) { k in
      try loss(shards.microBatch(step: index, k), step: index)
    }
  }

  private func loss(_ indices: [Int], step: Int) throws -> Tensor {
    let images = tensor(
      of: try indices.map { i in
        let image = try source.image(i)
        let draw = Philox(seed: plan.seed, stream: .flip, step: step, index: i).uniform()
        return draw < plan.flip ? image.flippedHorizontally() : image
      })  // [b, H, W, 3]
    let tape = Tape()
    let posterior = network.encode(tape.ride(constant: images))
    let noise = Tensor(uninitialized: posterior.mean.shape)
    let row = noise.count / indices.count
    for (i, index) in indices.enumerated() {
      Philox(seed: plan.seed, stream: .posterior, step: step, index: index)
        .fillNormal(noise.base + i * row, count: row)
    }
    let decoded = network.decode(posterior.sample(noise: noise))
    return meanSquaredError(decoded, images) + plan.klWeight * posterior.meanKL()
  }

  /// 1 / the standard deviation of posterior samples over `count` images, so that scaled latents
  /// have unit variance (Rombach et al., appendix G): the weights' own scale factor.
  public func latentScale(count: Int) throws -> Double {
    var (sum, squares, elements) = (0.0, 0.0, 0)
    for first in stride(from: 0, to: min(count, source.count), by: plan.microBatchSize) {
      let range = first..<min(first + plan.microBatchSize, source.count)
      let posterior = network.encode(tensor(of: try range.map { try source.image($0) }))
      for i in 0..<posterior.mean.count {
        let mean = Double(posterior.mean.base[i])
        sum += mean
        squares += mean * mean + exp(Double(posterior.logvar.base[i]))
      }
      elements += posterior.mean.count
    }
    let mean = sum / Double(elements)
    return 1 / (squares / Double(elements) - mean * mean).squareRoot()
  }
}
