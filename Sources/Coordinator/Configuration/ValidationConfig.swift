import Diagnostics

/// Held-out pictures that a model for up-sampling is compared with while it trains.
public struct ValidationConfig: ConfigSection {
  /// Steps between validations; 0 makes none.
  public var every = 0
  /// The held-out pictures: a folder, or another set.
  public var images: String?
  /// Side in pixels that they are cropped and scaled to; nil where all have one size.
  public var size: Int?
  /// Short side of the small pictures that the model is given.
  public var lowSize: Int?
  public var count = 64
  public var solver = SamplesConfig.Solver.euler
  /// Steps of a fixed-step solver.
  public var steps = 10
  /// Side in pixels of random crops whose features are compared; nil: none are.
  public var patchSize: Int?
  public var patchesPerImage = 4
  public var features = FeaturesConfig()
  /// False takes the trained parameters rather than their running average.
  public var averaged = true

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.integer("every", &every, atLeast: 0)
    try fields.string("images", &images)
    try fields.integer("size", &size, atLeast: 1)
    try fields.integer("low_size", &lowSize, atLeast: 1)
    try fields.integer("count", &count, atLeast: 1)
    try fields.choice("solver", &solver)
    try fields.integer("steps", &steps, atLeast: 1)
    try fields.integer("patch_size", &patchSize, atLeast: 8)
    if patchSize == nil {
      fields.inapplicable(
        "patches_per_image", "features", because: "validation.patch_size is null")
    } else {
      try fields.integer("patches_per_image", &patchesPerImage, atLeast: 1)
      try fields.section("features", &features)
    }
    try fields.boolean("averaged", &averaged)
  }

  func validate(
    _ check: ConfigCheck, _ coupling: CouplingConfig, _ stage: FirstStageConfig
  ) throws {
    guard every > 0 else { return }
    try check.that(
      coupling.upsampling != nil, "validation.every", "coupling.kind",
      found: "validation.every \(every), and the flow starts from noise",
      expected: "coupling.kind upsampling; evaluation.every judges samples of noise")
    try check.that(
      images != nil, "validation.images", "validation.every",
      found: "validation.every \(every) without validation.images",
      expected: "held-out pictures")
    if patchSize != nil {
      try check.that(
        features.path != nil || (features.kind == .autoencoder && stage.stage != .identity),
        "validation.features.path", "validation.patch_size", found: "no network to judge crops by",
        expected: features.kind == .inception
          ? "the file of the Inception weights" : "an autoencoder, where first_stage is none")
    }
  }
}
