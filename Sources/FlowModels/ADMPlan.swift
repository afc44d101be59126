/// The walk of guided diffusion's U-Net over its levels, written down once for the layers, their
/// names and their cost.
struct ADMPlan {
  /// One entry of `input_blocks` behind the first convolution, of `middle_block`'s two residuals,
  /// or of `output_blocks`.
  struct Step {
    /// A residual block and what stands behind it; or a change of resolution alone.
    var kind: Kind
    var inputs: Int
    var outputs: Int
    /// Pixels of the network's input per pixel of this step's input, along each axis.
    var factor: Int
    /// Heads of the attention behind the residual; nil for none.
    var heads: Int?
    /// The step's output has twice the extents.
    var doubles = false

    enum Kind { case residual, halving }
  }

  /// Channels of the first convolution.
  let stem: Int
  private(set) var input: [Step] = []
  private(set) var middle: Step
  private(set) var output: [Step] = []

  /// - Parameter stem: channels of the first convolution; nil for those of the first level
  init(_ c: ADMUNet.Configuration, stem: Int? = nil) {
    self.stem = stem ?? c.channels(level: 0)
    var (channels, factor) = (self.stem, 1)
    var skips = [channels]
    for level in c.multiples.indices {
      for _ in 0..<c.residuals {
        let outputs = c.channels(level: level)
        input.append(
          Step(
            kind: .residual, inputs: channels, outputs: outputs, factor: factor,
            heads: c.attends(factor) ? c.heads(of: outputs, decoder: false) : nil))
        channels = outputs
        skips.append(channels)
      }
      if level < c.multiples.count - 1 {
        input.append(Step(kind: .halving, inputs: channels, outputs: channels, factor: factor))
        factor *= 2
        skips.append(channels)
      }
    }
    middle = Step(
      kind: .residual, inputs: channels, outputs: channels, factor: factor,
      heads: c.heads(of: channels, decoder: false))
    for level in c.multiples.indices.reversed() {
      for i in 0...c.residuals {
        let outputs = c.channels(level: level)
        let doubles = level > 0 && i == c.residuals
        output.append(
          Step(
            kind: .residual, inputs: channels + skips.removeLast(), outputs: outputs,
            factor: factor, heads: c.attends(factor) ? c.heads(of: outputs, decoder: true) : nil,
            doubles: doubles))
        channels = outputs
        if doubles { factor /= 2 }
      }
    }
  }

  /// Multiply-adds of one forward pass for one sample of the configuration's resolution, products
  /// and convolutions only.
  ///
  /// - Parameter mixing: those of the attention at (channels, tokens)
  func multiplyAdds(
    _ c: ADMUNet.Configuration, mixing: (_ channels: Int, _ tokens: Double) -> Double
  ) -> Double {
    let pixels = { (factor: Int) in
      Double(c.resolution / factor) * Double(c.resolution / factor)
    }
    let embedding = Double(c.embeddingWidth)
    func residual(_ inputs: Int, _ outputs: Int, pixels: Double) -> Double {
      let (i, o) = (Double(inputs), Double(outputs))
      let shortcut = inputs == outputs ? 0 : i * o
      return pixels * (9 * i * o + 9 * o * o + shortcut)
        + embedding * o * (c.usesScaleShiftNorm ? 2 : 1)
    }
    /// A change of resolution of `channels`, as a residual block, a convolution or for nothing.
    func resampling(_ channels: Int, pixels: Double) -> Double {
      if c.resamplesInResiduals { return residual(channels, channels, pixels: pixels) }
      return c.resamplesByConvolution ? 9 * pixels * Double(channels) * Double(channels) : 0
    }
    func cost(_ s: Step) -> Double {
      if s.kind == .halving { return resampling(s.inputs, pixels: pixels(2 * s.factor)) }
      return residual(s.inputs, s.outputs, pixels: pixels(s.factor))
        + (s.heads == nil ? 0 : mixing(s.outputs, pixels(s.factor)))
        + (s.doubles ? resampling(s.outputs, pixels: 4 * pixels(s.factor)) : 0)
    }
    let ends = 9 * pixels(1) * Double(stem * c.inChannels + output.last!.outputs * c.outChannels)
    let time = embedding * (Double(c.width) + embedding)
    return ends + time + (input + output).map(cost).reduce(0, +) + cost(middle)
      + residual(middle.outputs, middle.outputs, pixels: pixels(middle.factor))
  }
}
