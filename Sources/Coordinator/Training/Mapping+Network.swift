import Diagnostics
import FlowModels
import Worker

// From the networks of a configuration to those that the workers build.

extension ModelConfig {
  /// - Parameter latentShape: [H, W, C] of the data.
  /// - Throws: `UserError` of status `config` for extents that no such network has.
  public func specification(latentShape: [Int]) throws -> NetworkSpecification {
    guard latentShape[0] == latentShape[1] else {
      throw UserError(
        .config, "model.kind",
        found: "\(kindName) for latents of \(latentShape[0])×\(latentShape[1])",
        expected: "square latents")
    }
    switch self {
    case .dit(let dit): return .dit(try dit.configuration(latentShape))
    case .edm(let edm): return try edm.specification(latentShape)
    case .originalADM(let adm):
      let configuration = adm.unet.configuration(
        latentShape, classes: adm.classes, hasNullClass: adm.labelDropout > 0)
      try refuseNetwork(configuration.flaw)
      return .adm(configuration)
    case .layout(let layout):
      let configuration = LayoutUNet.Configuration(
        trunk: layout.unet.configuration(
          latentShape, classes: layout.classes, hasNullClass: layout.labelDropout > 0),
        transformerDepth: layout.transformerDepth, contextWidth: layout.contextWidth)
      try refuseNetwork(configuration.flaw)
      return .layout(configuration)
    case .efficientUNet(let unet): return .efficient(try unet.configuration(latentShape))
    }
  }
}

/// Refuses a network with a flaw.
private func refuseNetwork(_ flaw: String?) throws {
  guard let flaw else { return }
  throw UserError(
    .config, "model", found: flaw, expected: "a network that can be built",
    advice: "`latentflow config` prints the whole of the configuration")
}

/// Refuses latents that cannot be halved at every level but the first.
private func requireHalvings(_ side: Int, factor: Int) throws {
  guard side % factor == 0 else {
    throw UserError(
      .config, "model.multipliers", found: "latents of \(side) pixels",
      expected: "a multiple of \(factor), which the levels halve them to")
  }
}

extension DiTConfig {
  fileprivate func configuration(_ latentShape: [Int]) throws -> DiT.Configuration {
    guard latentShape[0] % patch == 0 else {
      throw UserError(
        .config, "model.patch", found: "\(patch) for latents of \(latentShape[0]) pixels",
        expected: "a divisor of \(latentShape[0])")
    }
    return DiT.Configuration(
      resolution: latentShape[0], channels: latentShape[2], contextChannels: contextChannels,
      patch: patch, width: width, depth: depth, heads: heads, mlpRatio: mlpRatio,
      classes: max(1, classes), hasNullClass: labelDropout > 0, timeScale: Float(timeScale))
  }
}

extension EDMConfig {
  fileprivate func specification(_ latentShape: [Int]) throws -> NetworkSpecification {
    try requireHalvings(latentShape[0], factor: 1 << (multipliers.count - 1))
    let shape = EDMShape(
      resolution: latentShape[0], channels: latentShape[2], contextChannels: contextChannels,
      modelChannels: channels, channelMultipliers: multipliers, blocksPerLevel: blocks,
      attentionResolutions: attentionResolutions, classes: classes)
    switch family {
    case .adm, .admContext:
      let configuration = DhariwalUNet.Configuration(
        shape: shape, attendsToLabel: family == .admContext, hasNullRow: labelDropout > 0)
      try configuration.validate("model", status: .config)
      return .dhariwal(configuration)
    case .ddpmpp, .ncsnpp:
      let configuration = SongUNet.Configuration(
        shape: shape, variant: family == .ddpmpp ? .ddpmpp : .ncsnpp)
      try configuration.validate("model", status: .config)
      return .song(configuration)
    }
  }
}

extension OriginalADMConfig.Fields {
  fileprivate func configuration(
    _ latentShape: [Int], classes: Int, hasNullClass: Bool
  ) -> ADMUNet.Configuration {
    ADMUNet.Configuration(
      resolution: latentShape[0], inChannels: latentShape[2] + contextChannels,
      outChannels: latentShape[2], width: channels, multiples: multipliers.map(Double.init),
      residuals: blocks, attentionFactors: attentionFactors, heads: heads, decoderHeads: headsUp,
      headChannels: headChannels, order: newAttentionOrder ? .partsFirst : .headsFirst,
      usesScaleShiftNorm: scaleShiftNorm, resamplesInResiduals: residualUpDown,
      resamplesByConvolution: convolutionalResampling, classes: classes,
      hasNullClass: hasNullClass)
  }
}

extension EfficientUNetConfig {
  fileprivate func configuration(_ latentShape: [Int]) throws -> EfficientUNet.Configuration {
    let configuration = EfficientUNet.Configuration(
      resolution: latentShape[0], inChannels: latentShape[2] + contextChannels,
      outChannels: latentShape[2], width: channels, multipliers: multipliers,
      residualsPerLevel: blocks, attentionFactors: Set(attentionFactors), heads: heads,
      headWidth: headWidth, linearAttention: linearAttention, scalesAndShifts: scaleShiftNorm,
      resamplesByConvolution: convolutionalResampling, poolFactor: poolFactor,
      crossContextChannels: crossContextChannels)
    try refuseNetwork(configuration.flaw)
    try requireHalvings(latentShape[0], factor: configuration.downsamplingFactor)
    return configuration
  }
}

extension ModelConfig {
  /// The configuration of a network that is known by its weights; what weights do not tell, such
  /// as the probability of label dropout, has a value that fits.
  init(_ specification: NetworkSpecification) {
    switch specification {
    case .dit(let c): self = .dit(DiTConfig(c))
    case .dhariwal(let c):
      self = .edm(
        EDMConfig(c.shape, c.attendsToLabel ? .admContext : .adm, hasNull: c.hasNullRow))
    case .song(let c):
      self = .edm(EDMConfig(c.shape, c.variant == .ddpmpp ? .ddpmpp : .ncsnpp, hasNull: false))
    case .adm(let c):
      var adm = OriginalADMConfig()
      adm.unet = OriginalADMConfig.Fields(c)
      (adm.classes, adm.labelDropout) = (c.classes, c.hasNullClass ? 0.1 : 0)
      self = .originalADM(adm)
    case .layout(let c):
      var layout = LayoutConfig()
      layout.unet = OriginalADMConfig.Fields(c.trunk)
      (layout.transformerDepth, layout.contextWidth) = (c.transformerDepth, c.contextWidth)
      (layout.classes, layout.labelDropout) = (c.classes, c.trunk.hasNullClass ? 0.1 : 0)
      self = .layout(layout)
    case .efficient(let c): self = .efficientUNet(EfficientUNetConfig(c))
    }
  }
}

extension DiTConfig {
  fileprivate init(_ c: DiT.Configuration) {
    self.init()
    (width, depth, heads, patch) = (c.width, c.depth, c.heads, c.patch)
    (mlpRatio, timeScale) = (c.mlpRatio, Double(c.timeScale))
    contextChannels = c.contextChannels
    // One class without a null class is no label.
    classes = c.classes == 1 && !c.hasNullClass ? 0 : c.classes
    labelDropout = c.hasNullClass ? 0.1 : 0
  }
}

extension EDMConfig {
  fileprivate init(_ shape: EDMShape, _ family: Family, hasNull: Bool) {
    self.init()
    self.family = family
    (channels, multipliers) = (shape.modelChannels, shape.channelMultipliers)
    (blocks, attentionResolutions) = (shape.blocksPerLevel, shape.attentionResolutions)
    (classes, contextChannels) = (shape.classes, shape.contextChannels)
    labelDropout = hasNull ? 0.1 : 0
  }
}

extension OriginalADMConfig.Fields {
  fileprivate init(_ c: ADMUNet.Configuration) {
    self.init()
    (channels, multipliers) = (c.width, c.multiples.map { Int($0) })
    (blocks, attentionFactors) = (c.residuals, c.attentionFactors)
    (heads, headsUp, headChannels) = (c.heads, c.decoderHeads, c.headChannels)
    (scaleShiftNorm, residualUpDown) = (c.usesScaleShiftNorm, c.resamplesInResiduals)
    convolutionalResampling = c.resamplesByConvolution
    newAttentionOrder = c.order == .partsFirst
    contextChannels = c.contextChannels
  }
}

extension EfficientUNetConfig {
  fileprivate init(_ c: EfficientUNet.Configuration) {
    self.init()
    (channels, multipliers) = (c.width, c.multipliers)
    (blocks, attentionFactors) = (c.residualsPerLevel, c.attentionFactors.sorted())
    (heads, headWidth, linearAttention) = (c.heads, c.headWidth, c.linearAttention)
    (scaleShiftNorm, convolutionalResampling) = (c.scalesAndShifts, c.resamplesByConvolution)
    (poolFactor, contextChannels) = (c.poolFactor, c.contextChannels)
    crossContextChannels = c.crossContextChannels
  }
}
