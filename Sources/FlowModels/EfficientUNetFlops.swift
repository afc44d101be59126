extension EfficientUNet.Configuration {
  /// Multiply-adds × 2 of one forward pass for one sample, products and convolutions only. A
  /// cross-context is taken to have half the extents of the state.
  public var flopsPerSample: Double {
    let plan = EfficientUNetPlan(self)
    var pixels = Double(resolution / poolFactor) * Double(resolution / poolFactor)
    let pool = pixels * Double(poolFactor * poolFactor)
    var sum = Double(width * embeddingWidth + embeddingWidth * embeddingWidth)
    for stage in plan.input {
      if stage.first == .halving { pixels /= 4 }
      sum += products(of: stage, pixels: pixels)
    }
    let middle = EfficientUNetStage.Plan(
      first: .residual(inputs: plan.lowestWidth), outputs: plan.lowestWidth)
    sum += 2 * products(of: middle, pixels: pixels)
    sum += attentionProducts(width: plan.lowestWidth, pixels: pixels, linear: false)
    for stage in plan.output {
      sum += products(of: stage, pixels: pixels)
      guard stage.doubles else { continue }
      pixels *= 4
      if resamplesByConvolution { sum += pixels * Double(9 * stage.outputs * stage.outputs) }
    }
    sum += pixels * Double(9 * width * (poolFactor > 1 ? width : outChannels))
    if poolFactor > 1 { sum += pool * Double(width * (inChannels + outChannels)) }
    return 2 * sum
  }

  /// Multiply-adds of a stage but for the convolution that doubles; `pixels` behind any halving.
  private func products(of stage: EfficientUNetStage.Plan, pixels: Double) -> Double {
    let outputs = stage.outputs
    var sum = 0.0
    switch stage.first {
    case .convolution(let inputs):
      sum += pixels * Double(9 * inputs * outputs)
    case .residual(let inputs):
      let shortcut = inputs == outputs ? 0 : inputs * outputs
      sum += pixels * Double(9 * (inputs + outputs) * outputs + shortcut)
      sum += Double(embeddingWidth * (scalesAndShifts ? 2 : 1) * outputs)
    case .halving:
      if resamplesByConvolution { sum += pixels * Double(9 * outputs * outputs) }
    }
    guard stage.attends else { return sum }
    return sum + attentionProducts(width: outputs, pixels: pixels, linear: linearAttention)
  }

  private func attentionProducts(width: Int, pixels: Double, linear: Bool) -> Double {
    let inner = Double(attentionWidth)
    let partners = linear ? Double(headWidth) : pixels
    let own = pixels * (4 * Double(width) * inner + 2 * partners * inner)
    guard crossContextChannels > 0 else { return own }
    let tokens = Double(resolution / 2) * Double(resolution / 2)
    let places = EfficientUNetCrossAttention.placeFeatures
    return own + pixels * inner * (Double(2 * width + places) + 2 * tokens)
      + tokens * inner * Double(2 * crossContextChannels + places)
  }
}
