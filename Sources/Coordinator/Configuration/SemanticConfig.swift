import Diagnostics
import FlowModels
import Worker

/// Label maps that pictures are drawn after: how many classes they have, and how they are brought
/// to the size of a latent.  Dao et al. 2023, arXiv 2307.08698, § 5.3.
public struct SemanticConfig: ConfigSection {
  /// Classes of the maps: 19 of CelebAMask-HQ, 151 of ADE20k, 182 of COCO-stuff, 17 of the shapes.
  public var classes = 19
  /// Times that a map is halved: 3 for an autoencoder that makes eight pixels one.
  public var stages = 3

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.integer("classes", &classes, atLeast: 1, atMost: 256)
    try fields.integer("stages", &stages, atLeast: 0, atMost: 8)
  }

  func validate(_ check: ConfigCheck, _ config: RunConfig) throws {
    try check.that(
      config.model.contextChannels > 0, "model.context_channels", "semantic",
      found: "label maps, and no channels that they become",
      expected: "model.context_channels above 0, as 4")
    try check.that(
      config.coupling.upsampling == nil, "semantic", "coupling.kind",
      found: "label maps beside a low-resolution latent",
      expected: "coupling.kind noise, or no semantic")
    for (every, field) in [
      (config.samples.every, "samples.every"), (config.evaluation.every, "evaluation.every"),
    ] {
      try check.that(
        every == 0, field, "semantic", found: "\(every) with label maps to draw after",
        expected: "0", advice: "`latentflow synthesize` draws with any checkpoint")
    }
  }

  func rescaler(channels: Int) -> SpatialRescaler.Configuration {
    SpatialRescaler.Configuration(stages: stages, inChannels: classes, outChannels: channels)
  }
}

extension RunConfig {
  /// Of the label maps, where there are any.
  var rescaler: SpatialRescaler.Configuration? {
    semantic?.rescaler(channels: model.contextChannels)
  }

  /// What the rows of the data must hold beside latents.
  var rowContents: RowContents {
    semantic == nil ? coupling.contents : coupling.contents.union(.classMap)
  }
}
