import Diagnostics

/// The U-Net of Dhariwal & Nichol 2021 (arXiv 2105.05233) as their own code has it.
public struct OriginalADMConfig: NetworkSection {
  var unet = Fields()
  /// 0 is a model without labels.
  public var classes = 0
  public var labelDropout = 0.1

  /// What `original_adm` and `layout` share.
  public struct Fields: Sendable, Equatable {
    /// Channels at full resolution.
    public var channels = 128
    /// Channels of each level as multiples of `channels`; every level but the first halves the
    /// side.
    public var multipliers = [1, 2, 2]
    /// Residual blocks of each level on the way down; one more on the way up.
    public var blocks = 2
    /// Factors of downsampling at which blocks attend to themselves: 2 means at half the side.
    public var attentionFactors = [2, 4]
    public var heads = 4
    /// Width of a head, in place of `heads`.
    public var headChannels: Int?
    /// Heads on the way up, where they differ.
    public var headsUp: Int?
    /// The embedding scales and shifts the norm; otherwise it is added.
    public var scaleShiftNorm = true
    /// Residual blocks change the resolution themselves.
    public var residualUpDown = false
    /// Convolutions where the resolution changes; otherwise average pooling and nearest pixels.
    public var convolutionalResampling = true
    /// Query, key and value are split before the heads.
    public var newAttentionOrder = false
    public var contextChannels = 0

    /// - Parameter isLayout: of a layout network, whose attention has one order and one number of
    ///   heads.
    mutating func bind(_ fields: FieldBinder, isLayout: Bool = false) throws {
      try fields.integer("channels", &channels, atLeast: 32, atMost: 1 << 14)
      try fields.integers("multipliers", &multipliers, atLeast: 1, atMost: 1 << 10)
      try fields.integer("blocks", &blocks, atLeast: 1, atMost: 1 << 8)
      try fields.integers("attention_factors", &attentionFactors, atLeast: 1)
      try fields.integer("heads", &heads, atLeast: 1)
      try fields.integer("head_channels", &headChannels, atLeast: 1)
      if isLayout {
        fields.inapplicable(
          "heads_up", "new_attention_order", because: "a spatial transformer has none")
      } else {
        try fields.integer("heads_up", &headsUp, atLeast: 1)
        try fields.boolean("new_attention_order", &newAttentionOrder)
      }
      try fields.boolean("scale_shift_norm", &scaleShiftNorm)
      try fields.boolean("residual_up_down", &residualUpDown)
      try fields.boolean("convolutional_resampling", &convolutionalResampling)
      try fields.integer("context_channels", &contextChannels, atLeast: 0, atMost: 1 << 10)
    }

    /// The heads of a block that attends must divide its width.
    func validateHeads(_ check: ConfigCheck) throws {
      for (level, multiplier) in multipliers.enumerated() {
        let width = channels * multiplier
        let isLast = level == multipliers.count - 1
        guard isLast || attentionFactors.contains(1 << level) else { continue }
        if let headChannels {
          try check.that(
            width % headChannels == 0, "model.head_channels", "model.channels",
            found: "heads of \(headChannels) channels do not divide \(width)",
            expected: "a divisor of the width of every level that attends")
        } else {
          for count in [heads, headsUp ?? heads] {
            try check.that(
              width % count == 0, "model.heads", "model.heads_up", "model.channels",
              found: "\(count) heads do not divide \(width) channels",
              expected: "a divisor of the width of every level that attends")
          }
        }
      }
    }
  }

  public init() {}

  public var contextChannels: Int { unet.contextChannels }

  public mutating func bind(_ fields: FieldBinder) throws {
    try unet.bind(fields)
    try fields.integer("classes", &classes, atLeast: 0)
    if classes == 0 { labelDropout = 0 }
    try fields.number("label_dropout", &labelDropout, .belowOne)
  }

  public func validate(_ check: ConfigCheck) throws {
    try validateLevels(unet.multipliers, check)
    try validateGroups(of: unet.channels, unet.multipliers, check)
    try unet.validateHeads(check)
    try validateLabels(check)
  }
}

/// `original_adm` whose blocks attend to the tokens of a layout (spatial transformer, Rombach et
/// al. 2021, arXiv 2112.10752).
public struct LayoutConfig: NetworkSection {
  var unet = OriginalADMConfig.Fields()
  /// Blocks of each spatial transformer.
  public var transformerDepth = 3
  /// Width of a token of the layout.
  public var contextWidth = 512
  /// 0 is a model without labels beside the layout.
  public var classes = 0
  public var labelDropout = 0.1

  public init() {}

  public var contextChannels: Int { unet.contextChannels }
  public var tokenField: String? { "model.kind" }

  public mutating func bind(_ fields: FieldBinder) throws {
    try unet.bind(fields, isLayout: true)
    try fields.integer("transformer_depth", &transformerDepth, atLeast: 1, atMost: 1 << 8)
    try fields.integer("context_width", &contextWidth, atLeast: 1, atMost: 1 << 14)
    try fields.integer("classes", &classes, atLeast: 0)
    if classes == 0 { labelDropout = 0 }
    try fields.number("label_dropout", &labelDropout, .belowOne)
  }

  public func validate(_ check: ConfigCheck) throws {
    try validateLevels(unet.multipliers, check)
    try validateGroups(of: unet.channels, unet.multipliers, check)
    try unet.validateHeads(check)
    try validateLabels(check)
  }
}
