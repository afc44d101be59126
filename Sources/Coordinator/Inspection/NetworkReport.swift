import Diagnostics
import FlowData
import Foundation
import Worker

/// What `inspect` is asked beside the path.
struct CostQuestion {
  /// Samples that go through the network together; nil takes the configuration's micro-batch to
  /// train and a work item to sample.
  var batch: Int?
  var ranks = 1
  /// [H, W, C] where a configuration does not say it.
  var latentShape: [Int]?
}

/// What a network costs: parameters per block, FLOPs, memory.
struct NetworkReport: Encodable {
  let kind: String
  let latentShape: [Int]
  let classes: Int
  /// Channels that come in beside those of the latent.
  let contextChannels: Int
  let parameters: Int
  /// Parameters that training does not change.
  let constants: Int
  let blocks: [NetworkCost.Block]
  /// One forward pass of one sample, products only.
  let flopsPerSample: Double
  let trainingBatch: Int
  let trainingMicroBatches: Int
  let ranks: Int
  /// Bytes of one rank.
  let trainingMemory: Double
  let samplingBatch: Int
  let samplingMemory: Double
  /// What was not told and is assumed.
  let assumptions: [String]

  /// - Parameter config: nil where only weights are known.
  init(
    _ specification: NetworkSpecification, _ config: RunConfig?, _ question: CostQuestion,
    assumptions: [String] = []
  ) {
    let cost = NetworkCost(specification, rescaler: config?.rescaler)
    let training = config?.training ?? TrainingConfig()
    kind = specification.kind
    latentShape = specification.latentShape
    classes = config?.model.classes ?? specification.classes
    contextChannels = specification.contextChannels
    parameters = cost.parameterCount
    constants = cost.parameterCount - cost.trainableCount
    blocks = cost.blocks
    flopsPerSample = cost.flopsPerSample
    trainingBatch = question.batch ?? training.microBatch
    trainingMicroBatches = training.microBatches
    ranks = question.ranks
    trainingMemory = cost.trainingMemory(
      microBatch: trainingBatch, microBatches: training.microBatches, ranks: question.ranks,
      keepsAverage: config.map { $0.ema != nil } ?? true)
    samplingBatch = question.batch ?? SamplingPlan.standardItemSize
    samplingMemory = cost.samplingMemory(batch: samplingBatch)
    self.assumptions = assumptions
  }

  var text: String {
    var table = TextTable(rightAligned: [1])
    for block in blocks {
      let times = block.count == 1 ? "" : "\(block.count) × "
      table.append(block.name, times + grouped(block.parameters))
    }
    var facts = TextTable()
    facts.append(
      "parameters",
      grouped(parameters) + " (\(NetworkReport.short(Double(parameters))))"
        + (constants > 0 ? ", \(grouped(constants)) of them constant" : ""))
    facts.append(
      "FLOPs",
      "\(NetworkReport.short(flopsPerSample)) a sample, "
        + "\(NetworkReport.short(3 * flopsPerSample)) to train on it")
    facts.append(
      "memory to train",
      "\(NetworkReport.short(trainingMemory))B on each of \(ranks) "
        + "\(ranks == 1 ? "rank" : "ranks"), \(trainingMicroBatches) micro-batches of "
        + "\(trainingBatch)")
    facts.append(
      "memory to sample",
      "\(NetworkReport.short(samplingMemory))B at batch \(samplingBatch), without the autoencoder")
    for assumption in assumptions { facts.append("assumed", assumption) }
    let shape = latentShape.map(String.init).joined(separator: "×")
    return "network \(kind), latents of \(shape), "
      + (contextChannels == 0 ? "" : "a context of \(contextChannels) channels, ")
      + (classes == 0 ? "no labels" : "\(classes) classes")
      + "\n" + table.text(indent: 2) + facts.text(indent: 2)
  }

  /// 458118160 as 458 M.
  static func short(_ n: Double) -> String {
    let units: [(Double, String)] = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")]
    guard let (unit, name) = units.first(where: { n >= $0.0 }) else {
      return String(format: "%.0f ", n)
    }
    let value = n / unit
    return String(format: value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f", value) + name
  }
}

/// A configuration of `train`: the network that it asks for.
struct ConfigReport: InspectionReport {
  let kind = "configuration"
  let path: String
  let network: NetworkReport

  var isGood: Bool { true }
  var text: String { "\(path): configuration\n\n" + network.text }

  init(file: String, _ question: CostQuestion) throws {
    path = file
    let config = try RunConfig.load(file: file)
    guard let shape = try question.latentShape ?? config.latentShape() else {
      throw UserError(
        .usage, file, found: "neither data.latent_shape nor a cache \(config.data.name)",
        expected: "the shape of the latents", advice: "give --latent-shape 32,32,4")
    }
    network = NetworkReport(
      try config.model.specification(latentShape: shape), config, question)
  }
}

extension RunConfig {
  /// [H, W, C] as the configuration has it, or else its cache, if that is there.
  func latentShape() throws -> [Int]? {
    if data.latentShape != nil || data.images != nil { return data.latentShape }
    let index = "\(data.cache)/\(LatentCacheIndex.fileName)"
    guard FileManager.default.fileExists(atPath: index) else { return nil }
    return try LatentCache(folder: data.cache).index.description.latentShape
  }
}
