import Diagnostics
import FlowData
import Foundation
import Worker

/// A weights file, and what its network is: from its own header, from an argument file of LFM, or,
/// where nothing says it, from its keys and shapes.
struct DescribedWeights {
  let file: SafetensorsFile
  let header: ModelFileHeader
  let config: RunConfig
  let specification: NetworkSpecification
  private(set) var sampling: ImportedSampling?
  private(set) var warnings: [String] = []

  /// - Parameters:
  ///   - path: a run folder, a checkpoint folder, a weights file, or an argument file of LFM.
  ///   - weights: of an argument file, where they are not where it says.
  ///   - autoencoder: of a weights file without a header.
  init(
    _ path: String, averaged: Bool, weights: String?, _ autoencoder: String?
  ) throws {
    if let text = LFMArgumentFile.text(at: path) {
      let run = try LFMImport.run(LFMArgumentFile(text: text, name: path), name: path)
      try self.init(run, path, weights)
      return
    }
    if let weights {
      throw UserError(
        .usage, "--weights", found: "\(weights) beside \(path), which is no argument file",
        expected: "one file of weights")
    }
    let (place, warnings) = try locateWeights(path, averaged: averaged)
    file = try SafetensorsFile(place)
    self.warnings = warnings
    if file.metadata[ModelFileHeader.key] != nil {
      header = try ModelFileHeader(of: file)
      config = try RunConfig(ConfigDocument(text: header.config, name: place))
      specification = try config.model.specification(latentShape: header.latentShape)
      return
    }
    guard let network = try RecognizedNetwork(file, averaged: averaged) else {
      throw UserError(
        .badData, place, found: "weights of no network that is known",
        expected: "those of a run of latentflow, or of a DiT, an EDM U-Net, an ADM or an "
          + "EfficientUNet",
        advice: "`latentflow inspect \(place)` lists what it holds")
    }
    specification = network.specification
    config = RunConfig(weightsOf: specification, autoencoder: autoencoder)
    header = ModelFileHeader(weightsOf: config, specification)
    self.warnings.append(
      "\(place): recognised as \(specification.kind), latents of \(specification.latentShape), "
        + "trained as LFM does; assumed: "
        + (network.assumptions.isEmpty ? "nothing" : network.assumptions.joined(separator: "; ")))
  }

  /// The network of an argument file.
  private init(_ run: ImportedRun, _ path: String, _ weights: String?) throws {
    let named = run.weights ?? ""
    // LFM's scripts run in the folder above that of the argument files.
    let places = [weights ?? named, weights ?? "\(parentFolder(of: path))/../\(named)"]
    guard let place = places.first(where: FileManager.default.fileExists(atPath:)) else {
      throw UserError(
        .missingInput, places[0], found: "no such file", expected: "the weights of \(path)",
        advice: "name them with --weights FILE")
    }
    file = try SafetensorsFile(place)
    config = run.config
    specification = try config.model.specification(latentShape: run.config.data.latentShape!)
    header = ModelFileHeader(weightsOf: config, specification)
    sampling = run.sampling
  }
}

extension ModelFileHeader {
  /// What is known of weights that do not say it themselves.
  fileprivate init(weightsOf config: RunConfig, _ specification: NetworkSpecification) {
    var (stage, scale) = ("", 1.0)
    if case .autoencoder(let path) = config.firstStage.stage { stage = path }
    if case .factor(let factor) = config.firstStage.scale { scale = factor }
    self.init(
      config: config.yaml, latentShape: specification.latentShape, scale: scale, step: 0,
      classNames: [], firstStage: stage,
      firstStageHash: config.firstStage.stage == .identity ? FirstStage.identityHash : "")
  }
}

extension RunConfig {
  /// Weights of which nothing else is known are taken for a model of LFM: data at t = 0, latents of
  /// Stable Diffusion's autoencoder; three channels are pixels.
  fileprivate init(weightsOf specification: NetworkSpecification, autoencoder: String?) {
    self.init()
    model = ModelConfig(specification)
    data.latentShape = specification.latentShape
    if specification.latentShape[2] == 3, autoencoder == nil {
      firstStage.stage = .identity
      firstStage.scale = .factor(1)
    } else {
      firstStage.stage = .autoencoder(path: autoencoder ?? "stabilityai/sd-vae-ft-mse")
      firstStage.scale = .factor(0.18215)
    }
  }
}
