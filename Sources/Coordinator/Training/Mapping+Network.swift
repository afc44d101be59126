import Diagnostics
import FlowModels
import Worker

// From the networks of a configuration to those that the workers build.

extension ModelConfig {
  /// - Parameter latentShape: [H, W, C] of the data.
  /// - Throws: `UserError` of status `config` for extents that no such network has.
  func specification(latentShape: [Int]) throws -> NetworkSpecification {
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
      try refuse(configuration.flaw)
      return .adm(configuration)
    case .layout(let layout):
      let configuration = LayoutUNet.Configuration(
        trunk: layout.unet.configuration(
          latentShape, classes: layout.classes, hasNullClass: layout.labelDropout > 0),
        transformerDepth: layout.transformerDepth, contextWidth: layout.contextWidth)
      try refuse(configuration.flaw)
      return .layout(configuration)
    case .efficientUNet(let unet): return .efficient(try unet.configuration(latentShape))
    }
  }

  private func refuse(_ flaw: String?) throws {
    guard let flaw else { return }
    throw UserError(
      .config, "model", found: flaw, expected: "a network that can be built",
      advice: "`latentflow config` prints the whole of the configuration")
  }
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
      resolution: latentShape[0], channels: latentShape[2], patch: patch, width: width,
      depth: depth, heads: heads, mlpRatio: mlpRatio, classes: max(1, classes),
      hasNullClass: labelDropout > 0, timeScale: Float(timeScale))
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
      resamplesByConvolution: convolutionalResampling, poolFactor: poolFactor)
    try requireHalvings(latentShape[0], factor: configuration.downsamplingFactor)
    return configuration
  }
}
