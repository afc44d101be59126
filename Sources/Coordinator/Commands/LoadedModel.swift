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

  /// - Parameters:
  ///   - path: a run folder, a checkpoint folder, or a weights file.
  ///   - averaged: the running average rather than the trained parameters.
  ///   - autoencoder: another place of the first stage.
  init(_ path: String, averaged: Bool, autoencoder: String?, warn: Bool) throws {
    let (file, warnings) = try locateWeights(path, averaged: averaged)
    if warn { warnings.forEach(StandardError.say) }
    self.file = file
    let weights = try TensorFile.open(file)
    hash = try sha256Hex(ofFile: file)
    header = try ModelFileHeader(of: weights)
    config = try RunConfig(ConfigDocument(text: header.config, name: file))
    specification = try config.model.specification(latentShape: header.latentShape)
    network = Network(specification)
    network.store.allocate(training: false)
    try loadParameters(into: network.store, from: weights)
    firstStage = try LoadedModel.firstStage(header, autoencoder)
  }

  private static func firstStage(
    _ header: ModelFileHeader, _ moved: String?
  ) throws -> FirstStage {
    if header.firstStageHash == FirstStage.identityHash { return .identity }
    let stage = try FirstStage.autoencoder(moved ?? header.firstStage)
    guard stage.hash == header.firstStageHash else {
      throw UserError(
        .badData, stage.path, found: "SHA-256 \(stage.hash)",
        expected: "\(header.firstStageHash), the autoencoder that the model was trained with",
        advice: "name the right one with --autoencoder")
    }
    return stage
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

  func summary(out: String?, grid: String?) -> String {
    let places = [grid.map { "grid: \($0)" }, out.map { "pictures: \($0)" }].compactMap(\.self)
    return String(
      format: "%d samples in %.1f s, %.1f images/s; %@; guidance %g; %.1f evaluations each\n",
      count, seconds, imagesPerSecond, solver, guidance, evaluationsMean)
      + places.map { $0 + "\n" }.joined()
  }
}
