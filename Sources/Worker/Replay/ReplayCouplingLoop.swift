import Diagnostics
import FlowComm
import FlowCore
import FlowData
import FlowModels
import FlowNN
import FlowTensor

/// Replays FMBoost's training loop (`N_train_fmb*`) with recorded pairs and times, on the optimiser
/// that `train` runs, with one micro-batch on one rank.
///
/// The reference brings its average and its schedule forward before the optimiser steps: the
/// average lags a step behind, and the first step has the rate of the second.
///
/// - Returns: rows of the losses, the gradient norms, the learning rates, and the final parameters
///   and averages that the case lists.
public func replayCouplingLoopCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  let loop = try CouplingLoop(c)
  let store = loop.optimizer.store
  let average = Storage(count: store.arenaCount)
  average.base.update(from: store.values!.base, count: store.arenaCount)
  var reports: [StepReport] = []
  for step in 0..<loop.steps {
    updateAverage(
      average.base, of: store.values!.base, count: store.arenaCount,
      loop.average.action(call: step))
    let rate = loop.schedule.rate(step: step + 1, base: loop.base)
    reports.append(try loop.optimizer.step(learningRate: rate) { _ in try loop.loss(step) })
  }
  return
    ([
      try c.row("losses", reports.map(\.loss)),
      try c.row("grad_norms", reports.map(\.gradientNorm)),
      try c.row("lrs", reports.map(\.learningRate)),
    ] + (try c.watchedRows(
      of: store, [("param", store.values!), ("ema", average)], prefix: "net."))).compactMap { $0 }
}

/// What a case of FMBoost's loop records.
private struct CouplingLoop {
  let network: Network
  let optimizer: DataParallelOptimizer
  let steps: Int
  let base: Double
  let schedule: LearningRateSchedule
  let average: PowerLawAverage
  private let path: any ProbabilityPath
  /// [steps, b, C, H, W]
  private let sources, data, contexts: Tensor
  /// [steps, b]
  private let times: Tensor

  init(_ c: ReferenceCase) throws {
    func required<T>(_ value: T?, _ name: String) throws -> T {
      if let value { return value }
      throw UserError(
        .badData, c.file.path, at: "header entry config", found: "no usable \(name)")
    }
    let config = c.config
    steps = try required(config["steps"]?.int, "steps")
    base = try required(config["lr"]?.double, "lr")
    schedule = .constantWithWarmup(
      steps: try required(config["num_warmup_steps"]?.int, "num_warmup_steps"))
    average = powerLaw(config["ema"], power: 0.75)  // the trainer's, not the average's default
    switch config["schedule"]?.string {
    case "linear": path = LinearPath()
    case "gvp": path = GVPPath()
    case let other: path = try required(nil, "schedule (\(other ?? "missing"))")
    }
    (sources, data) = (try c.input("x0"), try c.input("x1"))
    (contexts, times) = (try c.input("context"), try c.input("t"))

    var settings = DataParallelOptimizer.Settings()
    settings.microBatches = 1
    settings.adam.weightDecay = .l2(try required(config["weight_decay"]?.double, "weight_decay"))
    let net = try required(config["net"], "net")
    network = Network(
      try required(NetworkSpecification(reference: net, c.file.path), "net.class"))
    optimizer = try DataParallelOptimizer(
      network.store, communicator: SingleRank(), settings: settings)
    optimizer.initialize(seed: 0)
    try c.load(c.weights(of: c.parts.isEmpty ? nil : "net"), into: network.store)
  }

  func loss(_ step: Int) throws -> Tensor {
    func images(_ x: Tensor) -> Tensor {  // [b, H, W, C]
      nhwc(x.slice(step..<step + 1).reshaped(Shape(Array(x.shape.dims.dropFirst()))))
    }
    let t = times.slice(step..<step + 1).reshaped([times.shape[1]])
    let point = path.sample(x0: images(sources), x1: images(data), t: t)
    let v = network(
      Tape().ride(constant: point.xt), t: t, condition: Condition(context: images(contexts)))
    return meanSquaredError(v, point.velocity)
  }
}
