import FlowModels

// The U-Nets whose keys are those of guided diffusion: `input_blocks`, `middle_block`,
// `output_blocks`. Where the resolution changes without weights, an index is left out.
extension WeightShapes {
  func guidedDiffusion(resolution: Int?) -> RecognizedNetwork? {
    guard let plan = GuidedDiffusionPlan(self) else { return nil }
    var assumptions: [String] = []
    if resolution == nil { assumptions.append("latents of 32×32, as images of 256 pixels have") }
    let side = resolution ?? 32
    return efficient(plan, side, assumptions) ?? layout(plan, side, assumptions)
      ?? adm(plan, side, assumptions)
  }

  /// FMBoost's: a pool, or attention whose width is not the block's.
  private func efficient(
    _ plan: GuidedDiffusionPlan, _ side: Int, _ assumptions: [String]
  ) -> RecognizedNetwork? {
    let pool = shape("pool.down_conv.weight", rank: 4)
    guard shapes["label_emb.weight"] == nil, let qkv = shape("middle_block.1.qkv.weight", rank: 3),
      pool != nil || qkv[0] != 3 * qkv[1], qkv[0] % 12 == 0
    else { return nil }
    let outputs = shape("un_pool.up_conv.weight", rank: 4)?[1] ?? plan.outputs
    let inputs = pool?[1] ?? plan.inputs
    guard inputs >= outputs else { return nil }
    return RecognizedNetwork(
      .efficient(
        EfficientUNet.Configuration(
          resolution: side, inChannels: inputs, outChannels: outputs, width: plan.width,
          multipliers: plan.multipliers, residualsPerLevel: plan.blocks,
          attentionFactors: Set(plan.attentionFactors), heads: 4, headWidth: qkv[0] / 12,
          linearAttention: false, scalesAndShifts: plan.scalesAndShifts,
          resamplesByConvolution: plan.resamplesByConvolution, poolFactor: pool?[2] ?? 1)),
      assumptions + ["4 heads", "softmax attention"])
  }

  private func layout(
    _ plan: GuidedDiffusionPlan, _ side: Int, _ assumptions: [String]
  ) -> RecognizedNetwork? {
    let block = "middle_block.1.transformer_blocks."
    guard let context = shape("\(block)0.attn2.to_k.weight", rank: 2) else { return nil }
    let (trunk, assumed) = configuration(plan, side, assumptions)
    let network = LayoutUNet.Configuration(
      trunk: trunk, transformerDepth: count { "\(block)\($0).attn2.to_k.weight" },
      contextWidth: context[1])
    return network.flaw == nil ? RecognizedNetwork(.layout(network), assumed) : nil
  }

  private func adm(
    _ plan: GuidedDiffusionPlan, _ side: Int, _ assumptions: [String]
  ) -> RecognizedNetwork? {
    let (network, assumed) = configuration(plan, side, assumptions)
    return network.flaw == nil
      ? RecognizedNetwork(.adm(network), assumed + ["the older order of attention"]) : nil
  }

  private func configuration(
    _ plan: GuidedDiffusionPlan, _ side: Int, _ assumptions: [String]
  ) -> (ADMUNet.Configuration, [String]) {
    var (classes, hasNull, assumption) = (0, false, String?.none)
    if let table = shape("label_emb.weight", rank: 2) {
      (classes, hasNull, assumption) = self.classes(rows: table[0])
    }
    let network = ADMUNet.Configuration(
      resolution: side, inChannels: plan.inputs, outChannels: plan.outputs, width: plan.width,
      multiples: plan.multipliers.map(Double.init), residuals: plan.blocks,
      attentionFactors: plan.attentionFactors, heads: 4,
      usesScaleShiftNorm: plan.scalesAndShifts, resamplesInResiduals: plan.resamplesInResiduals,
      resamplesByConvolution: plan.resamplesByConvolution, classes: classes, hasNullClass: hasNull)
    return (network, assumptions + ["4 heads", assumption].compactMap(\.self))
  }
}

/// Levels and blocks of such a U-Net, read off its keys.
struct GuidedDiffusionPlan {
  let width: Int
  /// Of the trunk, behind a pool.
  let inputs: Int
  let outputs: Int
  let multipliers: [Int]
  let blocks: Int
  let attentionFactors: [Int]
  let scalesAndShifts: Bool
  let resamplesInResiduals: Bool
  let resamplesByConvolution: Bool

  init?(_ weights: WeightShapes) {
    guard let stem = weights.shape("input_blocks.0.0.weight", rank: 4),
      let time = weights.shape("time_embed.0.weight", rank: 2),
      let last = weights.shape("out.2.weight", rank: 4)
    else { return nil }
    let keys = weights.shapes.keys
    let indices = Set(
      keys.filter { $0.hasPrefix("input_blocks.") }
        .compactMap { Int($0.split(separator: ".")[1]) })
    let highest = indices.max() ?? 0
    guard highest < 1 << 12 else { return nil }
    let convolutions = keys.count {
      $0.hasPrefix("input_blocks.") && $0.hasSuffix(".0.op.weight")
    }
    // An upsampling residual block is a second one in its entry.
    let residuals = keys.count {
      $0.hasPrefix("output_blocks.") && $0.hasSuffix(".in_layers.0.weight")
        && $0.split(separator: ".")[2] != "0"
    }
    let halvings = convolutions + residuals + (highest + 1 - indices.count)
    let levels = halvings + 1
    guard (highest - halvings) % levels == 0, highest > halvings, time[1] > 0 else { return nil }
    let blocks = (highest - halvings) / levels
    let firsts = (0..<levels).map { "input_blocks.\(1 + $0 * (blocks + 1))" }
    let widths = firsts.compactMap { weights.shape("\($0).0.out_layers.3.weight", rank: 4)?[0] }
    guard widths.count == levels, widths.allSatisfy({ $0 % time[1] == 0 }),
      let embedding = weights.shape("\(firsts[0]).0.emb_layers.1.weight", rank: 2)
    else { return nil }
    width = time[1]
    (inputs, outputs) = (stem[1], last[0])
    multipliers = widths.map { $0 / time[1] }
    self.blocks = blocks
    attentionFactors = (0..<levels).filter { weights.shapes["\(firsts[$0]).1.norm.weight"] != nil }
      .map { 1 << $0 }
    scalesAndShifts = embedding[0] == 2 * widths[0]
    resamplesInResiduals = residuals > 0
    resamplesByConvolution = convolutions > 0 || residuals > 0 || levels == 1
  }
}
