import Diagnostics
import FlowCore
import FlowData
import Foundation
import Worker

/// Models for up-sampling, one after another, checked against one another.
struct Cascade {
  /// One of them.
  struct Stage {
    let described: DescribedWeights
    /// SHA-256 of the weights file.
    let hash: String
    let config: CascadeStageConfig
    let coupling: CouplingConfig.Upsampling
    let enlargement: Enlargement
    /// Sides in pixels before and after.
    let from: Int
    let to: Int
    let averaged: Bool

    var name: String { described.file.path }
  }

  let stages: [Stage]
  let firstStage: FirstStage

  /// - Parameters:
  ///   - path: a model, or a cascade's file.
  ///   - start: the side from which it shall begin; nil: with its first stage.
  ///   - averaged: false takes the trained parameters of all stages.
  /// - Throws: `UserError` where a model is for something else, or they do not fit one another.
  init(
    _ path: String, start: Int?, weights: String?, autoencoder: String?, averaged: Bool,
    warn: Bool
  ) throws {
    let (config, folder) = try Cascade.config(path, weights: weights)
    let place = autoencoder ?? config.autoencoder.map { Cascade.resolved($0, in: folder) }
    let models = try config.stages.map { stage in
      let described = try DescribedWeights.open(
        Cascade.resolved(stage.model, in: folder), averaged: averaged && stage.averaged,
        weights: stage.weights.map { Cascade.resolved($0, in: folder) }, autoencoder: place)
      try described.requireUpsampling()
      if warn { described.warnings.forEach(StandardError.say) }
      return described
    }
    firstStage = try LoadedModel.firstStage(models[0].header, place)
    try Cascade.requireOne(firstStage, models)
    var stages: [Stage] = []
    for (k, (model, stage)) in zip(models, config.stages).enumerated() {
      stages.append(
        try Stage(
          model, stage, number: k, of: path, before: stages.last,
          averaged: averaged && stage.averaged, factor: firstStage.downsamplingFactor))
    }
    self.stages = try start.map { try Cascade.beginning(at: $0, stages) } ?? stages
  }

  /// A model alone is a cascade of one stage.
  private static func config(
    _ path: String, weights: String?
  ) throws -> (CascadeConfig, folder: String?) {
    if isYAML(path) {
      let document = try ConfigDocument(file: path)
      guard document.root["stages"] != nil || FMBoostImport.isOne(document) else {
        throw UserError(
          .config, path, found: "neither stages nor FMBoost's model.target",
          expected: "a cascade, stages: [{ model: runs/a }, …], or a configuration of FMBoost",
          advice: "of a model that latentflow trained, give the run folder")
      }
      if document.root["stages"] != nil {
        if let weights {
          throw UserError(
            .usage, "--weights", found: "\(weights) for a cascade",
            expected: "weights beside each stage's model in \(path)")
        }
        return (try CascadeConfig(document), parentFolder(of: path))
      }
    }
    var stage = CascadeStageConfig()
    (stage.model, stage.weights) = (path, weights)
    var config = CascadeConfig()
    config.stages = [stage]
    return (config, nil)
  }

  private static func resolved(_ path: String, in folder: String?) -> String {
    guard let folder, folder != ".", !path.hasPrefix("/") else { return path }
    return "\(folder)/\(path)"
  }

  /// Stages hand on latents.
  private static func requireOne(
    _ firstStage: FirstStage, _ models: [DescribedWeights]
  ) throws {
    for model in models.dropFirst() {
      let hash = model.header.firstStageHash
      guard hash.isEmpty || hash == firstStage.hash else {
        throw UserError(
          .config, model.file.path, found: "a model of the first stage \(hash)",
          expected: "\(firstStage.hash), that of \(models[0].file.path): stages hand on latents")
      }
    }
  }

  private static func beginning(at start: Int, _ stages: [Stage]) throws -> [Stage] {
    guard let k = stages.firstIndex(where: { $0.from == start }) else {
      throw UserError(
        .usage, "--from", found: "\(start)",
        expected: "where a stage begins: \(stages.map { "\($0.from)" }.joined(separator: ", "))")
    }
    return Array(stages[k...])
  }

  /// What pictures have to be.
  var extents: UpscalingExtents {
    UpscalingExtents(
      factor: firstStage.downsamplingFactor,
      stages: stages.map { ($0.enlargement, $0.described.specification.latentExtents) })
  }

  /// - Parameter seed: of the command; stages after the first have seeds of their own.
  func upscalingStages(
    _ solving: UpscaleSolverOptions, seed: UInt64
  ) throws -> [UpscalingStage] {
    try stages.enumerated().map { k, stage in
      let (described, averaged) = (stage.described, stage.averaged)
      let path = described.config.path.path
      let null = described.config.model.classes > 0 ? described.specification.nullLabel : nil
      let plan = SamplingPlan(
        seed: seed ^ UInt64(k) << 48,
        solver: try solving.sampler(along: path, stage: stage.config), guidance: 1,
        labels: null.map { .cycle([$0]) } ?? .none, path: path,
        scale: Float(described.header.scale), coupling: stage.coupling.coupling)
      return UpscalingStage(
        described.specification, stage.enlargement, plan,
        startsFromPixels: described.origin == .configuration
      ) {
        let network = Network(described.specification)
        network.store.allocate(training: false)
        try loadParameters(into: network.store, from: described.file, averaged: averaged)
        return network
      }
    }
  }
}

/// Whether a path names a YAML file.
func isYAML(_ path: String) -> Bool { path.hasSuffix(".yaml") || path.hasSuffix(".yml") }

extension Cascade.Stage {
  fileprivate init(
    _ described: DescribedWeights, _ stage: CascadeStageConfig, number k: Int, of file: String,
    before: Cascade.Stage?, averaged: Bool, factor: Int
  ) throws {
    let weights = described.file.path
    guard var coupling = described.config.coupling.upsampling else {
      preconditionFailure("\(weights): a model for up-sampling without its coupling")
    }
    if let step = stage.noisingStep {
      guard coupling.start == .noised, step < coupling.noisingSteps else {
        throw UserError(
          .config, file, at: "stages.\(k).noising_step", found: "\(step)",
          expected: coupling.start == .noised
            ? "below \(coupling.noisingSteps), the steps of the forward diffusion of \(weights)"
            : "none: \(weights) does not noise its source")
      }
      coupling.noisingStep = step
    }
    let (low, high) = try described.trainedSides(factor: factor)
    let enlargement = Enlargement(from: low, to: high)
    let from = stage.from ?? before?.to ?? low
    let to = stage.to ?? enlargement.applied(to: from)
    guard Enlargement(from: from, to: to) == enlargement else {
      throw UserError(
        .config, file, at: "stages.\(k).to", found: "\(from) to \(to)",
        expected: "\(enlargement) times as much: \(weights) was trained from \(low) to \(high)")
    }
    if let before, before.to != from {
      throw UserError(
        .config, file, at: "stages.\(k).from",
        found: "\(from), and the stage before ends at \(before.to)", expected: "\(before.to)")
    }
    let channels = described.header.latentShape[2]
    if let other = before?.described.header.latentShape[2], other != channels {
      throw UserError(
        .config, file, at: "stages.\(k)", found: "\(weights) with latents of \(channels) channels",
        expected: "\(other), as the stage before hands on")
    }
    self.init(
      described: described, hash: try sha256Hex(ofFile: weights), config: stage,
      coupling: coupling, enlargement: enlargement, from: from, to: to, averaged: averaged)
  }
}

extension DescribedWeights {
  /// Throws `.config` where the model is for something else.
  fileprivate func requireUpsampling() throws {
    if origin == .recognition {
      throw UserError(
        .config, file.path, found: "weights without a word on how they were trained",
        expected: "a run of latentflow, or FMBoost's YAML file with --weights \(file.path)")
    }
    try config.require(.upsampling, of: file.path)
    if config.model.classes > 0, specification.nullLabel == nil {
      throw UserError(
        .config, file.path,
        found: "a network of \(config.model.classes) classes without a null label",
        expected: "one without labels, or trained with model.label_dropout above 0")
    }
  }

  /// Sides in pixels of the pictures of training, made small and as they were.
  ///
  /// - Parameter factor: image pixels per latent pixel.
  fileprivate func trainedSides(factor: Int) throws -> (low: Int, high: Int) {
    let high = header.latentShape[0] * factor
    guard let low = header.lowShape.map({ $0[0] * factor }) ?? config.coupling.upsampling?.lowSize
    else {
      throw UserError(
        .config, file.path, at: "coupling.low_size", found: "nothing",
        expected: "the side in pixels of the pictures that the model makes \(high) pixels large")
    }
    guard low <= high else {
      throw UserError(
        .config, file.path, at: "coupling.low_size", found: "\(low) pixels made \(high)",
        expected: "a model that enlarges")
    }
    return (low, high)
  }
}
