import Diagnostics
import FlowData
import Foundation
import Worker

/// A weights file, and what its network is: from its own header, from an argument file of LFM or a
/// YAML file of FMBoost, or, where nothing says it, from its keys and shapes.
struct DescribedWeights {
  /// What says what the network is.
  enum Origin { case header, configuration, recognition }

  let file: any TensorSource
  let header: ModelFileHeader
  let config: RunConfig
  let specification: NetworkSpecification
  let origin: Origin
  private(set) var sampling: ImportedSampling?
  private(set) var warnings: [String] = []

  /// - Parameters:
  ///   - path: a run folder, a checkpoint folder, a weights file, an argument file of LFM, or a
  ///     configuration of FMBoost.
  ///   - weights: of an argument file, where they are not where it says; of a configuration of
  ///     FMBoost, which does not name them.
  ///   - autoencoder: of a weights file without a header.
  static func open(
    _ path: String, averaged: Bool, weights: String?, autoencoder: String?
  ) throws -> DescribedWeights {
    if let text = LFMArgumentFile.text(at: path) {
      let run = try LFMImport.run(LFMArgumentFile(text: text, name: path), name: path)
      return try DescribedWeights(run, path, weights)
    }
    if isYAML(path), FMBoostImport.isOne(try ConfigDocument(file: path)) {
      return try DescribedWeights(FMBoostImport.run(path, words: []), path, weights)
    }
    if let weights {
      throw UserError(
        .usage, "--weights", found: "\(weights) beside \(path), which is no argument file",
        expected: "one file of weights")
    }
    let (place, warnings) = try locateWeights(path, averaged: averaged)
    let file = try TensorFile.open(place)
    var described =
      file.metadata[ModelFileHeader.key] == nil
      ? try DescribedWeights(recognizing: file, averaged: averaged, autoencoder)
      : try DescribedWeights(file)
    described.warnings = warnings + described.warnings
    return described
  }

  /// Weights of a run.
  private init(_ file: any TensorSource) throws {
    self.file = file
    origin = .header
    header = try ModelFileHeader(of: file)
    config = try RunConfig(ConfigDocument(text: header.config, name: file.path))
    specification = try config.model.specification(latentShape: header.latentShape)
  }

  /// Weights of which nothing is known but keys and shapes.
  private init(
    recognizing file: any TensorSource, averaged: Bool, _ autoencoder: String?
  ) throws {
    guard let network = try RecognizedNetwork(file, averaged: averaged) else {
      throw UserError(
        .badData, file.path, found: "weights of no network that is known",
        expected: "those of a run of latentflow, or of a DiT, an EDM U-Net, an ADM or an "
          + "EfficientUNet",
        advice: "`latentflow inspect \(file.path)` lists what it holds")
    }
    if case .dit(let dit) = network.specification, dit.learnsSigma {
      throw UserError(
        .badData, file.path,
        found: "a DiT of \(dit.outputChannels) output channels for "
          + "\(dit.channels): a diffusion model that learns its variance",
        expected: "the velocity of a flow")
    }
    self.file = file
    origin = .recognition
    specification = network.specification
    config = RunConfig(weightsOf: specification, autoencoder: autoencoder)
    header = ModelFileHeader(weightsOf: config, specification)
    let shape = specification.latentShape.map(String.init).joined(separator: "×")
    warnings = [
      "\(file.path): recognised as \(specification.kind) on latents of \(shape), taken for a "
        + "model of LFM; assumed: "
        + (network.assumptions.isEmpty ? "nothing" : network.assumptions.joined(separator: "; "))
    ]
  }

  /// The network of another system's configuration.
  private init(_ run: ImportedRun, _ path: String, _ weights: String?) throws {
    guard let named = weights ?? run.weights else {
      throw UserError(
        .usage, path, found: "a configuration that does not name its weights",
        expected: "--weights FILE")
    }
    // LFM's scripts run in the folder above that of the argument files.
    let places = weights == nil ? [named, "\(parentFolder(of: path))/../\(named)"] : [named]
    guard let place = places.first(where: FileManager.default.fileExists(atPath:)) else {
      throw UserError(
        .missingInput, named, found: "no such file", expected: "the weights of \(path)",
        advice: "name them with --weights FILE")
    }
    guard let shape = run.config.data.latentShape else {
      throw UserError(
        .config, path, at: "model.params.high_res_size", found: "nothing",
        expected: "the side in pixels of the pictures of training")
    }
    file = try TensorFile.open(place)
    origin = .configuration
    config = run.config
    specification = try config.model.specification(latentShape: shape)
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
    // A latent and a mask beside the state.
    if model.contextChannels == specification.latentShape[2] + 1 { inpainting = InpaintingConfig() }
    if specification.latentShape[2] == 3, autoencoder == nil {
      firstStage.stage = .identity
      firstStage.scale = .factor(1)
    } else {
      firstStage.stage = .autoencoder(path: autoencoder ?? "stabilityai/sd-vae-ft-mse")
      firstStage.scale = .factor(0.18215)
    }
  }
}
