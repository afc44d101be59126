import Diagnostics

/// The network that predicts the velocity.
public enum ModelConfig: ConfigSection {
  case dit(DiTConfig)
  case edm(EDMConfig)
  case originalADM(OriginalADMConfig)
  case layout(LayoutConfig)
  case efficientUNet(EfficientUNetConfig)

  private enum Kind: String, CaseIterable {
    case dit, adm
    case admContext = "adm_context"
    case ddpmpp = "ddpm++"
    case ncsnpp = "ncsn++"
    case originalADM = "original_adm"
    case layout
    case efficientUNet = "efficient_unet"

    /// A network of this kind: that of `model`, if it is one, or the defaults.
    func section(of model: ModelConfig) -> ModelConfig {
      switch (self, model) {
      case (.dit, .dit), (.originalADM, .originalADM), (.layout, .layout),
        (.efficientUNet, .efficientUNet):
        return model
      case (.dit, _): return .dit(DiTConfig())
      case (.originalADM, _): return .originalADM(OriginalADMConfig())
      case (.layout, _): return .layout(LayoutConfig())
      case (.efficientUNet, _): return .efficientUNet(EfficientUNetConfig())
      case (.adm, _), (.admContext, _), (.ddpmpp, _), (.ncsnpp, _):
        var edm = EDMConfig()
        if case .edm(let given) = model { edm = given }
        edm.family = EDMConfig.Family(rawValue: rawValue)!
        return .edm(edm)
      }
    }
  }

  private var kind: Kind {
    switch self {
    case .dit: .dit
    case .edm(let edm): Kind(rawValue: edm.family.rawValue)!
    case .originalADM: .originalADM
    case .layout: .layout
    case .efficientUNet: .efficientUNet
    }
  }

  public init() { self = .dit(DiTConfig()) }

  /// What all networks have in common.
  public var section: any NetworkSection {
    switch self {
    case .dit(let section): section
    case .edm(let section): section
    case .originalADM(let section): section
    case .layout(let section): section
    case .efficientUNet(let section): section
    }
  }

  /// The name that `model.kind` has.
  public var kindName: String { kind.rawValue }

  /// Real classes; 0 for a network without labels.
  public var classes: Int { section.classes }
  /// Probability with which training replaces a label by the null label.
  public var labelDropout: Double { section.labelDropout }
  /// Channels that are concatenated to the state: an inpainting mask, a low-resolution latent.
  public var contextChannels: Int { section.contextChannels }
  /// Channels of a second context, to which the network attends.
  public var crossContextChannels: Int { section.crossContextChannels }

  public mutating func bind(_ fields: FieldBinder) throws {
    var kind = self.kind
    try fields.choice("kind", &kind)
    switch kind.section(of: self) {
    case .dit(var section):
      try section.bind(fields)
      self = .dit(section)
    case .edm(var section):
      try section.bind(fields)
      self = .edm(section)
    case .originalADM(var section):
      try section.bind(fields)
      self = .originalADM(section)
    case .layout(var section):
      try section.bind(fields)
      self = .layout(section)
    case .efficientUNet(var section):
      try section.bind(fields)
      self = .efficientUNet(section)
    }
  }

  func validate(_ check: ConfigCheck) throws { try section.validate(check) }
}

/// The configuration of one family of networks.
public protocol NetworkSection: ConfigSection {
  var classes: Int { get }
  var labelDropout: Double { get }
  var contextChannels: Int { get }
  var crossContextChannels: Int { get }
  /// The field that makes the network attend to tokens; nil if none does.
  var tokenField: String? { get }
  func validate(_ check: ConfigCheck) throws
}

extension NetworkSection {
  public var contextChannels: Int { 0 }
  public var crossContextChannels: Int { 0 }
  public var tokenField: String? { nil }

  func validateLabels(_ check: ConfigCheck) throws {
    try check.that(
      classes > 0 || labelDropout == 0, "model.label_dropout", "model.classes",
      found: "label dropout \(labelDropout) without labels",
      expected: "0 where model.classes is 0")
  }

  /// Levels, each half as wide as the one above it.
  func validateLevels(_ multipliers: [Int], _ check: ConfigCheck) throws {
    try check.that(
      (1...8).contains(multipliers.count), "model.multipliers",
      found: "\(multipliers.count) levels", expected: "1 to 8, a multiplier for each")
  }

  /// Group norms of 32 groups.
  func validateGroups(of channels: Int, _ multipliers: [Int], _ check: ConfigCheck) throws {
    for width in [channels] + multipliers.map({ $0 * channels }) {
      try check.that(
        width % 32 == 0, "model.channels", "model.multipliers",
        found: "\(width) channels", expected: "a multiple of 32, the groups of the group norms")
    }
  }
}
