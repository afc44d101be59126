import Diagnostics

/// The U-Net of FMBoost (Schusterbauer et al. 2024, arXiv 2312.07360).
public struct EfficientUNetConfig: NetworkSection {
  /// Channels at full resolution.
  public var channels = 128
  /// Channels of each level as multiples of `channels`; every level but the first halves the side.
  public var multipliers = [1, 2, 4]
  /// Residual blocks of each level on the way down; one more on the way up.
  public var blocks = 2
  /// Factors of downsampling at which blocks attend to themselves: 2 means at half the side.
  public var attentionFactors = [4]
  public var heads = 4
  public var headWidth = 64
  /// Attention at a cost that grows with the pixels, not with their square, outside the middle.
  public var linearAttention = false
  /// The embedding scales and shifts the norm; otherwise it is added.
  public var scaleShiftNorm = true
  /// Convolutions where the resolution changes; otherwise average pooling and nearest pixels.
  public var convolutionalResampling = true
  /// The whole network works on maps smaller by this factor; 1 is none.
  public var poolFactor = 1
  public var contextChannels = 0
  /// Channels of a second context, to which the attending blocks attend; 0 is none.
  public var crossContextChannels = 0

  /// FMBoost has no labels.
  public var classes: Int { 0 }
  public var labelDropout: Double { 0 }

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.integer("channels", &channels, atLeast: 32, atMost: 1 << 14)
    try fields.integers("multipliers", &multipliers, atLeast: 1, atMost: 1 << 10)
    try fields.integer("blocks", &blocks, atLeast: 1, atMost: 1 << 8)
    try fields.integers("attention_factors", &attentionFactors, atLeast: 1)
    try fields.integer("heads", &heads, atLeast: 1)
    try fields.integer("head_width", &headWidth, atLeast: 1)
    try fields.boolean("linear_attention", &linearAttention)
    try fields.boolean("scale_shift_norm", &scaleShiftNorm)
    try fields.boolean("convolutional_resampling", &convolutionalResampling)
    try fields.integer("pool_factor", &poolFactor, atLeast: 1)
    try fields.integer("context_channels", &contextChannels, atLeast: 0, atMost: 1 << 10)
    try fields.integer(
      "cross_context_channels", &crossContextChannels, atLeast: 0, atMost: 1 << 14)
    fields.inapplicable("classes", "label_dropout", because: "efficient_unet has no labels")
  }

  public func validate(_ check: ConfigCheck) throws {
    try validateLevels(multipliers, check)
    try check.that(
      multipliers[0] == 1, "model.multipliers", found: "the first is \(multipliers[0])",
      expected: "1: the last convolution takes model.channels")
    try validateGroups(of: channels, multipliers, check)
  }
}
