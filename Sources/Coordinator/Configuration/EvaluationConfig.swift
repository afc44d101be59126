import Diagnostics

/// Distances from real pictures while training, on samples of the running average.
public struct EvaluationConfig: ConfigSection {
  /// Steps between evaluations; 0 makes none.
  public var every = 0
  /// Samples of one evaluation: always the same noise and labels.
  public var count = 512
  /// Statistics (.npz, .npy, .safetensors), or a data set of real pictures.
  public var reference: String?
  /// Real pictures to use; nil takes all.
  public var referenceCount: Int?
  /// Side in pixels that real pictures are cropped and scaled to; nil leaves them.
  public var referenceSize: Int?
  public var features = FeaturesConfig()
  public var solver = SamplesConfig.Solver.euler
  /// Steps of a fixed-step solver.
  public var steps = 20
  /// Scale s of classifier-free guidance, u + s·(c − u); 1 is none.
  public var guidance = 1.0

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.integer("every", &every, atLeast: 0)
    try fields.integer("count", &count, atLeast: 2)
    try fields.string("reference", &reference)
    try fields.integer("reference_count", &referenceCount, atLeast: 2)
    try fields.integer("reference_size", &referenceSize, atLeast: 1)
    try fields.section("features", &features)
    try fields.choice("solver", &solver)
    try fields.integer("steps", &steps, atLeast: 1)
    try fields.number("guidance", &guidance, .nonNegative)
  }

  func validate(_ check: ConfigCheck, _ model: ModelConfig, _ stage: FirstStageConfig) throws {
    guard every > 0 else { return }
    try check.that(
      reference != nil, "evaluation.reference", "evaluation.every",
      found: "evaluation.every \(every) without evaluation.reference",
      expected: "statistics, or a data set of real pictures")
    try check.that(
      guidance == 1 || (model.classes > 0 && model.labelDropout > 0),
      "evaluation.guidance", "model.label_dropout", "model.classes",
      found: "guidance \(guidance) on a model without a null label",
      expected: "guidance 1, or model.classes and model.label_dropout above 0")
    try check.that(
      features.path != nil || (features.kind == .autoencoder && stage.stage != .identity),
      "evaluation.features.path", "evaluation.features.kind", "evaluation.every",
      found: "no network to judge by",
      expected: features.kind == .inception
        ? "the file of the Inception weights" : "an autoencoder, where first_stage is none")
  }
}

/// The network whose features are compared.
public struct FeaturesConfig: ConfigSection {
  public enum Kind: String, CaseIterable, Sendable {
    /// Channel means of an autoencoder's middle block; never called FID.
    case autoencoder
    /// FID's.
    case inception
  }

  public var kind = Kind.autoencoder
  /// Of the weights; nil: the first stage's, for an autoencoder.
  public var path: String?

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.choice("kind", &kind)
    try fields.string("path", &path)
  }
}
