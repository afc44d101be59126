import Diagnostics

/// The U-Nets of EDM (Karras et al. 2022, arXiv 2206.00364): `adm` after Dhariwal & Nichol 2021,
/// `ddpm++` and `ncsn++` after Song et al. 2021.
public struct EDMConfig: NetworkSection {
  public enum Family: String, CaseIterable, Sendable {
    case adm
    /// ADM whose blocks attend to the label instead of adding it to the time.
    case admContext = "adm_context"
    case ddpmpp = "ddpm++"
    case ncsnpp = "ncsn++"
  }

  public var family = Family.adm
  /// Channels at full resolution.
  public var channels = 128
  /// Channels of each level as multiples of `channels`; every level but the first halves the side.
  public var multipliers = [1, 2, 2]
  /// Residual blocks of each level on the way down; one more on the way up.
  public var blocks = 2
  /// Sides of the feature maps, in latent pixels, at which blocks attend to themselves.
  public var attentionResolutions = [16, 8]
  /// 0 is a model without labels.
  public var classes = 0
  public var labelDropout = 0.1
  public var contextChannels = 0

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.integer("channels", &channels, atLeast: 4, atMost: 1 << 14)
    try fields.integers("multipliers", &multipliers, atLeast: 1, atMost: 1 << 10)
    try fields.integer("blocks", &blocks, atLeast: 1, atMost: 1 << 8)
    try fields.integers("attention_resolutions", &attentionResolutions, atLeast: 1)
    try fields.integer("classes", &classes, atLeast: 0)
    if classes == 0 { labelDropout = 0 }
    try fields.number("label_dropout", &labelDropout, .belowOne)
    try fields.integer("context_channels", &contextChannels, atLeast: 0, atMost: 1 << 10)
  }

  public func validate(_ check: ConfigCheck) throws {
    try validateLevels(multipliers, check)
    for width in [channels] + multipliers.map({ $0 * channels }) {
      let groups = min(32, width / 4)
      try check.that(
        width % groups == 0, "model.channels", "model.multipliers",
        found: "\(width) channels in \(groups) groups",
        expected: "a multiple of 4 below 128 channels, of 32 from there on")
    }
    try check.that(
      family != .admContext || classes > 0, "model.classes", "model.kind",
      found: "adm_context without labels", expected: "the classes that its blocks attend to",
      advice: "without labels, model.kind=adm")
    try validateLabels(check)
  }
}
