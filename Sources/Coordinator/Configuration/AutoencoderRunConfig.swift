import Diagnostics
import FlowData

/// What `latentflow train-autoencoder` trains: an AutoencoderKL on a folder of images.
public struct AutoencoderRunConfig: RootConfiguration {
  public var seed: UInt64 = 0
  public var data = Images()
  public var model = Model()
  public var loss = Loss()
  public var training = TrainingConfig()
  public var optimizer = OptimizerConfig()
  public var schedule = ScheduleConfig()
  public var ema: EMAConfig?
  public var checkpoint = CheckpointConfig()
  public var log = LogConfig()

  public struct Images: ConfigSection {
    /// A folder, or another set: KIND:PATH#PART.
    public var images = "data/shapes"
    /// Side in pixels.
    public var size = 64
    /// Probability of a horizontal flip.
    public var flip = 0.0
    public var exif = ExifPolicy.ignore
    public var broken = BrokenPolicy.strict

    public init() {}

    public mutating func bind(_ fields: FieldBinder) throws {
      try fields.string("images", &images)
      try fields.integer("size", &size, atLeast: 8, atMost: 8192)
      try fields.number("flip", &flip, .unit)
      try fields.choice("exif", &exif)
      try fields.choice("broken", &broken)
    }
  }

  /// The autoencoder of latent diffusion (Rombach et al. 2021, arXiv 2112.10752, appendix G.3).
  public struct Model: ConfigSection {
    /// Channels at full resolution.
    public var channels = 32
    /// Channels of each level as multiples of `channels`; every level but the last halves the side.
    public var multipliers = [1, 2, 2]
    public var latentChannels = 4
    /// Residual blocks of each level of the encoder; the decoder has one more.
    public var blocks = 1
    /// Groups of the group norms.
    public var groups = 8

    /// Pixels per latent, along one side.
    public var downsampling: Int { 1 << (multipliers.count - 1) }

    public init() {}

    public mutating func bind(_ fields: FieldBinder) throws {
      try fields.integer("channels", &channels, atLeast: 1, atMost: 1 << 14)
      try fields.integers("multipliers", &multipliers, atLeast: 1, atMost: 1 << 10)
      try fields.integer("latent_channels", &latentChannels, atLeast: 1, atMost: 1 << 10)
      try fields.integer("blocks", &blocks, atLeast: 1)
      try fields.integer("groups", &groups, atLeast: 1)
    }
  }

  public struct Loss: ConfigSection {
    /// Weight of the KL divergence of the posterior from N(0, 1), beside the reconstruction.
    public var klWeight = 1e-6

    public init() {}

    public mutating func bind(_ fields: FieldBinder) throws {
      try fields.number("kl_weight", &klWeight, .nonNegative)
    }
  }

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.integer("seed", &seed)
    try fields.section("data", &data)
    try fields.section("model", &model)
    try fields.section("loss", &loss)
    try fields.section("training", &training)
    try fields.section("optimizer", &optimizer)
    try fields.section("schedule", &schedule)
    try fields.section("ema", &ema)
    try fields.section("checkpoint", &checkpoint)
    try fields.section("log", &log)
  }

  public static let changeableOnResume = [
    "training.steps", "training.max_nonfinite", "checkpoint", "log",
  ]

  public func validate(_ check: ConfigCheck) throws {
    try check.that(
      (1...8).contains(model.multipliers.count), "model.multipliers",
      found: "\(model.multipliers.count) levels", expected: "1 to 8, a multiplier for each")
    for multiplier in model.multipliers {
      let width = model.channels * multiplier
      try check.that(
        width % model.groups == 0, "model.groups", "model.channels", "model.multipliers",
        found: "\(model.groups) groups do not divide \(width) channels",
        expected: "a divisor of model.channels times every multiplier")
    }
    try check.that(
      data.size % model.downsampling == 0, "data.size", "model.multipliers",
      found: "images of \(data.size) pixels for \(model.multipliers.count) levels",
      expected: "a multiple of \(model.downsampling)")
    try training.validate(check)
  }
}
