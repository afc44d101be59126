import Diagnostics
import FlowComm
import FlowCore
import FlowData
import FlowModels
import FlowNN
import FlowTensor

/// Replays LFM's training loop (`N_*`) with recorded data and draws, on the optimiser that
/// `train` runs, with one micro-batch on one rank.
///
/// - Returns: rows of the losses, the learning rates, and the final parameters and averages that
///   the case lists.
public func replayTrainingLoopCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  let loop = try TrainingLoop(c)
  let optimizer = loop.optimizer
  var losses: [Double] = []
  var rates: [Double] = []
  for step in 0..<loop.steps {
    let report = try optimizer.step(learningRate: loop.rate(step)) { _ in try loop.loss(step) }
    losses.append(report.loss)
    rates.append(report.learningRate)
  }
  var rows = [try c.row("losses", losses), try c.row("lrs", rates)]
  let averages = try optimizer.averagedParameters()
  rows += try c.watchedRows(
    of: optimizer.store, [("param", optimizer.store.values!), ("ema", averages)])
  return rows.compactMap { $0 }
}

extension ReferenceCase {
  /// Rows of the parameters that the case names, in each of `sources`.
  ///
  /// - Parameters:
  ///   - sources: the first words of the outputs' names, and arenas laid out as the store's.
  ///   - prefix: what the case writes before the names of the store.
  func watchedRows(
    of store: ParameterStore, _ sources: [(name: String, arena: Storage)], prefix: String = ""
  ) throws -> [ReplayRow?] {
    try (config["watch"]?.array?.compactMap(\.string) ?? []).flatMap { name in
      guard name.hasPrefix(prefix), let parameter = store[String(name.dropFirst(prefix.count))]
      else {
        throw UserError(
          .badData, file.path, at: "header entry config, watch", found: "no parameter \(name)")
      }
      return try sources.map { source in
        let values = UnsafeBufferPointer(
          start: source.arena.base + parameter.range.lowerBound, count: parameter.range.count)
        return try row("\(source.name).\(name)", Array(values))
      }
    }
  }
}

/// What one case of the training loop records.
private struct TrainingLoop {
  let network: Network
  let optimizer: DataParallelOptimizer
  let steps: Int
  private let base: Double
  private let schedule: LearningRateSchedule
  private let stepsPerEpoch: Int
  private let scale: Float
  private let labels: LabelReplay?
  /// [steps, b, C, H, W]
  private let latents, noise: Tensor
  /// [steps, b]
  private let times: Tensor

  init(_ c: ReferenceCase) throws {
    func required<T>(_ value: T?, _ name: String) throws -> T {
      if let value { return value }
      throw UserError(
        .badData, c.file.path, at: "header entry config", found: "no usable \(name)")
    }
    let net = try required(c.config["net"], "net")
    let config = c.config
    steps = try required(config["steps"]?.int, "steps")
    base = try required(config["lr"]?.double, "lr")
    stepsPerEpoch = try required(config["steps_per_epoch"]?.int, "steps_per_epoch")
    scale = Float(try required(config["scale_factor"]?.double, "scale_factor"))
    schedule = .cosineAnnealing(
      period: try required(config["num_epoch"]?.int, "num_epoch"), floor: 1e-5)
    (latents, noise) = (try c.input("latents"), try c.input("noise"))
    times = try c.input("t")
    guard (net["dropout"]?.double ?? 0) == 0 else {
      throw UserError(
        .badData, c.file.path, at: "header entry config, net", found: "dropout",
        expected: "dropout 0")
    }

    var settings = DataParallelOptimizer.Settings()
    settings.microBatches = 1
    settings.average = .constant(decay: try required(config["ema_decay"]?.double, "ema_decay"))
    network = Network(
      try required(NetworkSpecification(reference: net, c.file.path), "net.class"))
    labels = try LabelReplay(c, net, nullLabel: network.specification.nullLabel)
    optimizer = try DataParallelOptimizer(
      network.store, communicator: SingleRank(), settings: settings)
    optimizer.initialize(seed: 0)
    try c.load(c.weights(of: c.parts.isEmpty ? nil : "net"), into: network.store)
  }

  /// The scheduler moves once per epoch.
  func rate(_ step: Int) -> Double { schedule.rate(step: step / stepsPerEpoch, base: base) }

  func loss(_ step: Int) throws -> Tensor {
    let batch = times.shape[1]
    func images(_ x: Tensor) -> Tensor {
      nhwc(x.slice(step..<step + 1).reshaped(Shape(Array(x.shape.dims.dropFirst()))))
    }
    let t = times.slice(step..<step + 1).reshaped([batch])
    let point = NoisingPath().sample(x0: scale * images(latents), x1: images(noise), t: t)
    let condition = Condition(labels: labels?.dropped(step * batch..<(step + 1) * batch))
    let v = network(Tape().ride(constant: point.xt), t: t, condition: condition)
    return meanSquaredError(v, point.velocity)
  }
}

/// The labels of a case with classes, after dropout by recorded draws.
private struct LabelReplay {
  /// [steps × b]
  private let labels: [Int]
  private let draws: [Float]
  private let probability: Float
  private let nullLabel: Int?

  /// nil for a case without labels.
  init?(_ c: ReferenceCase, _ net: JSONValue, nullLabel: Int?) throws {
    guard c.contains(.inputs, "y") else { return nil }
    labels = try c.ints(.inputs, "y")
    probability = Float(net["label_dropout"]?.double ?? 0)
    draws = c.contains(.inputs, "drop") ? try c.input("drop").values : labels.map { _ in 1 }
    self.nullLabel = nullLabel
    guard draws.count == labels.count, probability == 0 || nullLabel != nil else {
      throw UserError(
        .badData, c.file.path, at: "tensor inputs.drop",
        found: "\(draws.count) draws for \(labels.count) labels", expected: "one for each")
    }
  }

  func dropped(_ range: Range<Int>) -> [Int] {
    range.map { draws[$0] < probability ? nullLabel! : labels[$0] }
  }
}
