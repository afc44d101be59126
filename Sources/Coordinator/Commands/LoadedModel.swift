import Diagnostics
import FlowCore
import FlowData
import Foundation
import Worker

/// A trained model, ready to draw samples: weights, configuration and first stage.
struct LoadedModel {
  let file: String
  let hash: String
  let header: ModelFileHeader
  let config: RunConfig
  let specification: NetworkSpecification
  let network: Network
  let firstStage: FirstStage
  /// How an argument file of LFM samples; nil for other models.
  let sampling: ImportedSampling?

  /// - Parameters:
  ///   - path: a run folder, a checkpoint folder, a weights file, or an argument file of LFM.
  ///   - averaged: the running average rather than the trained parameters.
  ///   - autoencoder: another place of the first stage.
  ///   - weights: the weights of an argument file, if they lie elsewhere.
  ///   - task: what the caller can give the network beside noise and labels.
  init(
    _ path: String, averaged: Bool, autoencoder: String?, weights: String? = nil,
    task: ModelTask = .generation, warn: Bool
  ) throws {
    let described = try DescribedWeights.open(
      path, averaged: averaged, weights: weights, autoencoder: autoencoder)
    if warn { described.warnings.forEach(StandardError.say) }
    (file, header, config) = (described.file.path, described.header, described.config)
    (specification, sampling) = (described.specification, described.sampling)
    hash = try sha256Hex(ofFile: file)
    try config.require(task, of: file)
    network = Network(specification, rescaler: config.rescaler)
    network.store.allocate(training: false)
    try loadParameters(into: network.store, from: described.file, averaged: averaged)
    firstStage = try LoadedModel.firstStage(header, autoencoder)
  }

  /// The first stage that a model was trained with.
  ///
  /// - Parameter moved: another place of it.
  static func firstStage(
    _ header: ModelFileHeader, _ moved: String?
  ) throws -> FirstStage {
    if header.firstStageHash == FirstStage.identityHash { return .identity }
    let path = moved ?? header.firstStage
    guard FileManager.default.fileExists(atPath: path) else {
      throw UserError(
        .missingInput, path, found: "no such file or folder", expected: "the model's autoencoder",
        advice: "name its file or folder with --autoencoder")
    }
    let stage = try FirstStage.autoencoder(path)
    // Weights of other systems do not say which autoencoder was theirs.
    guard header.firstStageHash.isEmpty || stage.hash == header.firstStageHash else {
      throw UserError(
        .badData, stage.path, found: "SHA-256 \(stage.hash)",
        expected: "\(header.firstStageHash), the autoencoder that the model was trained with",
        advice: "name the right one with --autoencoder")
    }
    return stage
  }
}

/// What a model is for.
enum ModelTask: String {
  case generation = "samples from noise"
  case upsampling = "up-sampling"
  case inpainting
  case semantic = "drawing after label maps"

  var command: String {
    switch self {
    case .generation: "sample"
    case .upsampling: "upscale"
    case .inpainting: "inpaint"
    case .semantic: "synthesize"
    }
  }
}

extension RunConfig {
  var task: ModelTask {
    if inpainting != nil { return .inpainting }
    if semantic != nil { return .semantic }
    return coupling.upsampling == nil ? .generation : .upsampling
  }

  /// Throws `.config` where the model is for something else.
  func require(_ wanted: ModelTask, of file: String) throws {
    if task != wanted {
      throw UserError(
        .config, file, found: "a model for \(task.rawValue)",
        expected: "one for \(wanted.rawValue)", advice: "use `latentflow \(task.command)`")
    }
    if let field = model.section.tokenField {
      throw UserError(
        .config, file, at: field, found: "a network that attends to tokens",
        expected: "a network of latents, labels and maps")
    }
    guard task == .generation, model.contextChannels > 0 || model.crossContextChannels > 0 else {
      return
    }
    throw UserError(
      .config, file, at: "model.context_channels",
      found: "a network with a context, and a configuration that does not say of what",
      expected: "a configuration with its coupling")
  }
}

/// How samples were made: samples.json.
struct SamplingRecord: Codable {
  var model: String
  var modelHash: String
  var step: Int
  var autoencoderHash: String
  var count: Int
  var seed: UInt64
  var solver: String
  var guidance: Double
  /// Times between which guidance applies; nil: all.
  var guidanceInterval: [Double]?
  var labels: String
  var itemSize: Int
  var evaluationsMean: Double
  var seconds: Double
  var imagesPerSecond: Double
  var ranks: Int
  var version: String

  init(
    _ loaded: LoadedModel, _ plan: SamplingPlan, _ samples: [FinishedSample], seconds: Double,
    ranks: Int
  ) {
    model = loaded.file
    modelHash = loaded.hash
    step = loaded.header.step
    autoencoderHash = loaded.firstStage.hash
    count = samples.count
    seed = plan.seed
    solver = plan.solver.description
    guidance = Double(plan.guidance)
    let interval = plan.guidanceInterval
    let ends = [interval.lowerBound, interval.upperBound]
    guidanceInterval = ends[0].isFinite ? ends.map { Double($0) } : nil
    labels = "\(plan.labels)"
    itemSize = plan.itemSize
    evaluationsMean =
      Double(samples.reduce(0) { $0 + $1.evaluations }) / Double(max(1, samples.count))
    self.seconds = seconds
    imagesPerSecond = Double(samples.count) / seconds
    self.ranks = ranks
    version = LatentFlow.version
  }

  var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return ((try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}") + "\n"
  }

  func summary(out: String?, grid: String?, npz: String?) -> String {
    let places = [
      grid.map { "grid: \($0)" }, npz.map { "batch: \($0)" }, out.map { "pictures: \($0)" },
    ].compactMap(\.self)
    return String(
      format: "%d samples in %.1f s, %.1f images/s; %@; guidance %g; %.1f evaluations each\n",
      count, seconds, imagesPerSecond, solver, guidance, evaluationsMean)
      + places.map { $0 + "\n" }.joined()
  }
}
