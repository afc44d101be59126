import Diagnostics
import FlowComm
import FlowNN
import FlowTensor

/// What a step came to; the same on every rank.
public struct StepReport: Equatable, Sendable {
  /// Number of the step, from 1.
  public let step: Int
  /// Mean over the micro-batches.
  public let loss: Double
  /// Global norm of the mean gradient, before clipping.
  public let gradientNorm: Double
  public let learningRate: Double
  /// Loss or gradient were not finite: no parameter has changed.
  public let skipped: Bool
  /// What any rank was asked for by a signal meanwhile.
  public let requests: RunRequests
}

/// Requests that reach one rank and must be followed by all in the same step.
public struct RunRequests: OptionSet, Sendable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }
  /// Checkpoint and go on (SIGUSR2).
  public static let checkpoint = RunRequests(rawValue: 1)
  /// Checkpoint and leave (SIGUSR1, SIGTERM).
  public static let leave = RunRequests(rawValue: 2)
}

/// One optimiser over the ranks of a job: K micro-batches per step, gradients added in a fixed
/// tree, moments and running average sharded (ZeRO-1, Rajbhandari et al. 2020, arXiv 1910.02054).
public final class DataParallelOptimizer {
  public struct Settings: Sendable {
    public var microBatches = 4
    public var adam = AdamW.Configuration()
    /// Largest global norm of the mean gradient; nil does not clip.
    public var clip: Double?
    public var average: AverageSchedule?
    /// Steps in a row without a finite gradient after which the run stops.
    public var maximumNonfinite = 5
    public var exchange = GradientExchange.Options()

    public init() {}
  }

  public let settings: Settings
  public let communicator: any Communicator
  public let store: ParameterStore
  public let exchange: GradientExchange
  let adam: AdamW
  let shard: Range<Int>
  let firstMoment: Storage
  let secondMoment: Storage
  let average: Storage?
  var segments: [Segment]
  /// Finished steps, skipped ones included.
  public internal(set) var step = 0
  /// Steps that changed nothing, in all and in a row up to now.
  public internal(set) var skippedSteps = 0
  public internal(set) var skippedInARow = 0

  /// Collective. Gives the store memory: the gradients lie where the ranks exchange them.
  public init(
    _ store: ParameterStore, communicator: any Communicator, settings: Settings
  ) throws {
    self.settings = settings
    self.communicator = communicator
    self.store = store
    exchange = try GradientExchange(
      communicator, count: store.arenaCount, microBatches: settings.microBatches,
      options: settings.exchange, split: { parallelFor($0, grain: 16_384, $1) })
    store.allocate(
      training: true,
      gradients: Storage(borrowing: exchange.arena, count: store.arenaCount, owner: exchange))
    shard = exchange.layout.range(of: communicator.rank)
    adam = AdamW(settings.adam)
    firstMoment = zeros(shard.count)
    secondMoment = zeros(shard.count)
    average = settings.average == nil ? nil : zeros(shard.count)
    segments = store.parameters.map { Segment(range: $0.range, isFrozen: !$0.isTrainable) }
  }

  /// Draws the start values; the average begins as a copy.
  public func initialize(seed: UInt64) {
    store.initialize(seed: seed)
    average?.base.update(from: store.values!.base + shard.lowerBound, count: shard.count)
  }

  /// One step.
  ///
  /// - Parameters:
  ///   - requests: what this rank was asked for.
  ///   - loss: the loss of micro-batch k, riding a tape. May throw on one rank alone.
  public func step(
    learningRate: Double, requests: RunRequests = [], loss: (_ microBatch: Int) throws -> Tensor
  ) throws -> StepReport {
    let local = Result { try exchange.localMicroBatches.map { try differentiate($0, loss) } }
    let (mean, asked) = try share(local, requests)
    let gradients = try exchange.wait()
    let sums = chunkSquareSums(gradients.baseAddress!, count: gradients.count)
    let k = Double(settings.microBatches)
    let norm = try communicator.orderedSum(sums, layout: exchange.layout).squareRoot() / k
    let finite = norm.isFinite && mean.isFinite
    if finite {
      let clip = settings.clip.map { clipCoefficient(norm: norm, maximum: $0) } ?? 1
      adam.update(
        values: store.values!.base, gradients: store.gradients!.base,
        firstMoment: firstMoment.base, secondMoment: secondMoment.base, average: average?.base,
        segments: &segments, shard: shard, learningRate: learningRate, gradientScale: clip / k,
        averaging: settings.average?.action(call: step - skippedSteps) ?? .none)
      try exchange.gatherParameters(store.values!.base)
    }
    step += 1
    skippedSteps += finite ? 0 : 1
    skippedInARow = finite ? 0 : skippedInARow + 1
    return StepReport(
      step: step, loss: mean, gradientNorm: norm, learningRate: learningRate, skipped: !finite,
      requests: asked)
  }

  /// The error that ends a run whose gradients stay non-finite; nil while it may go on.
  public var nonfiniteFailure: UserError? {
    guard skippedInARow >= settings.maximumNonfinite else { return nil }
    return UserError(
      .badData, "training", at: "step \(step)",
      found: "loss or gradient not finite \(skippedInARow) steps in a row",
      expected: "at most \(settings.maximumNonfinite - 1) (training.max_nonfinite)",
      advice: "lower optimizer.lr, set training.clip, or inspect the data: latentflow inspect")
  }

  private func differentiate(_ microBatch: Int, _ loss: (Int) throws -> Tensor) throws -> Double {
    store.resetGradients()
    let value = try loss(microBatch)
    value.tape!.backward(from: value) { leaf in
      exchange.finished(store.parameters[leaf.leafIndex!].range)
    }
    store.settleGradients()
    exchange.endMicroBatch()
    return Double(value.item)
  }

  /// Mean loss in the order of the micro-batches, and everybody's requests; a failure anywhere is
  /// thrown everywhere.
  private func share(
    _ local: Result<[Double], any Error>, _ requests: RunRequests
  ) throws -> (mean: Double, RunRequests) {
    var failure: UserError?
    var losses = [Double](repeating: .nan, count: exchange.localMicroBatches.count)
    switch local {
    case .success(let values): losses = values
    case .failure(let error as UserError): failure = error
    case .failure(let error):
      failure = UserError(.internal, "rank \(communicator.rank)", found: "\(error)")
    }
    // Buckets may already be under way: nobody can wait for this rank any more.
    if let failure, exchange.overlaps { try communicator.abort(failure) }
    let all = try communicator.allGather(
      losses + [Double(requests.rawValue), failure == nil ? 0 : 1])
    if all.contains(where: { $0.last == 1 }) {
      throw try communicator.agree(error: failure)!
    }
    let sum = all.reduce(0.0) { $0 + $1.dropLast(2).reduce(0.0, +) }
    let asked = all.reduce(RunRequests()) {
      $0.union(RunRequests(rawValue: Int($1[$1.count - 2])))
    }
    return (sum / Double(settings.microBatches), asked)
  }
}

private func zeros(_ count: Int) -> Storage {
  let storage = Storage(count: count)
  storage.base.update(repeating: 0, count: count)
  return storage
}
