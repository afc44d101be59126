import FlowNN
import FlowTensor

// The blocks of guided diffusion's U-Net (Dhariwal & Nichol 2021, arXiv 2105.05233, section 3).
// Names are those of its state dictionary: numbers are places in a sequence of layers, of which
// those without parameters have none.

/// Groups and epsilon of every group norm of the trunk.
private let (normGroups, normEps): (Int, Float) = (32, 1e-5)

/// A linear map as PyTorch starts it.
func torchLinear(_ inputs: Int, _ outputs: Int, bias: Bool = true, _ scope: Scope) -> Linear {
  Linear(
    inputs, outputs, bias: bias, weights: .torchDefault(fanIn: inputs),
    biases: .torchDefault(fanIn: inputs), scope)
}

/// Halves or doubles the extents without parameters.
enum ADMResampling {
  case halving, doubling

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, C] → [B, H/2 or 2·H, …, C]
    self == .halving ? downsampleAverage2(x) : upsampleNearest2(x)
  }
}

/// conv(silu(norm(conv(silu(norm(x))), time))) + x, where time scales and shifts the second norm
/// (adaptive group normalisation, section 3) or is added in front of it.
struct ADMResidual {
  let norm1: GroupNorm
  let conv1: Convolution
  let embedding: Linear
  let norm2: GroupNorm
  let conv2: Convolution  // zero at the start: the block is its shortcut
  let shortcut: Convolution?
  let scalesAndShifts: Bool
  let resampling: ADMResampling?

  init(
    _ c: ADMUNet.Configuration, _ inputs: Int, _ outputs: Int, resampling: ADMResampling? = nil,
    _ scope: Scope
  ) {
    norm1 = GroupNorm(inputs, groups: normGroups, eps: normEps, scope("in_layers")("0"))
    conv1 = Convolution(inputs, outputs, kernel: 3, scope("in_layers")("2"))
    scalesAndShifts = c.usesScaleShiftNorm
    embedding = torchLinear(
      c.embeddingWidth, scalesAndShifts ? 2 * outputs : outputs, scope("emb_layers")("1"))
    norm2 = GroupNorm(outputs, groups: normGroups, eps: normEps, scope("out_layers")("0"))
    conv2 = Convolution(
      outputs, outputs, kernel: 3, weights: .zeros, biases: .zeros, scope("out_layers")("3"))
    shortcut = inputs == outputs
      ? nil : Convolution(inputs, outputs, kernel: 1, scope("skip_connection"))
    self.resampling = resampling
  }

  /// - Parameters:
  ///   - x: [B, H, W, in]
  ///   - time: time plus label embedding after SiLU, [B, 4·width]
  /// - Returns: [B, H', W', out]
  func callAsFunction(_ x: Tensor, time: Tensor) -> Tensor {
    let (h, skip) = first(x)  // [B, H', W', out], [B, H', W', in]
    let e = embedding(time)  // [B, out] or [B, 2·out]
    let normed: Tensor
    if scalesAndShifts {
      let m = e.split(into: 2)
      normed = norm2(h, shift: m[1], scale: m[0], activation: .silu)
    } else {
      normed = norm2(h.adding(perSample: e), activation: .silu)
    }
    return (shortcut?(skip) ?? skip) + conv2(normed)
  }

  /// The first convolution at the output's resolution, and the block's input there.
  private func first(_ x: Tensor) -> (h: Tensor, skip: Tensor) {
    let h = norm1(x, activation: .silu)
    switch resampling {
    case nil: return (conv1(h), x)
    case .halving: return (conv1(downsampleAverage2(h)), downsampleAverage2(x))
    case .doubling: return (conv1.afterUpsampling(h), upsampleNearest2(x))
    }
  }
}

/// Self-attention over pixels, added to its input.
struct ADMAttention: PixelMixer {
  let heads: Int
  let order: ProjectionOrder
  let norm: GroupNorm
  let qkv: TokenConvolution
  let out: TokenConvolution  // zero at the start: the block is the identity

  init(_ channels: Int, heads: Int, order: ProjectionOrder, _ scope: Scope) {
    (self.heads, self.order) = (heads, order)
    norm = GroupNorm(channels, groups: normGroups, eps: normEps, scope("norm"))
    qkv = TokenConvolution(channels, 3 * channels, scope("qkv"))
    out = TokenConvolution(channels, channels, startsAtZero: true, scope("proj_out"))
  }

  func callAsFunction(_ x: Tensor, context: Tensor?) -> Tensor {  // [B, H, W, C] → [B, H, W, C]
    let s = x.shape
    let h = norm(x).reshaped([s[0], s[1] * s[2], s[3]])  // [B, T, C]
    return x + out(selfAttention(qkv: qkv(h), heads: heads, order: order)).reshaped(s)
  }

  /// Projections, scores and their sums of values.
  static func multiplyAdds(_ channels: Int, tokens: Double) -> Double {
    let c = Double(channels)
    return tokens * 4 * c * c + 2 * tokens * tokens * c
  }
}

/// A one-dimensional convolution of kernel 1: a linear map whose weight is [out, in, 1].
struct TokenConvolution {
  let weight: Parameter
  let bias: Parameter

  init(_ inputs: Int, _ outputs: Int, startsAtZero: Bool = false, _ scope: Scope) {
    let initializer = startsAtZero ? Initializer.zeros : .torchDefault(fanIn: inputs)
    weight = scope.parameter("weight", [outputs, inputs, 1], initializer)
    bias = scope.parameter("bias", [outputs], initializer)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, T, in] → [B, T, out]
    linear(x, weight: weight.tensor, bias: bias.tensor)
  }
}

/// Half or twice the extents as a step of its own.
struct ADMChange {
  private enum Layer {
    case residual(ADMResidual)
    case convolution(Convolution)
    case plain
  }
  private let layer: Layer
  private let resampling: ADMResampling

  init(
    _ c: ADMUNet.Configuration, _ channels: Int, _ resampling: ADMResampling, _ scope: Scope
  ) {
    self.resampling = resampling
    if c.resamplesInResiduals {
      layer = .residual(ADMResidual(c, channels, channels, resampling: resampling, scope))
    } else if c.resamplesByConvolution {
      let halves = resampling == .halving
      layer = .convolution(
        Convolution(
          channels, channels, kernel: 3, stride: halves ? 2 : 1, scope(halves ? "op" : "conv")))
    } else {
      layer = .plain
    }
  }

  func callAsFunction(_ x: Tensor, time: Tensor) -> Tensor {  // [B, H, W, C] → [B, H', W', C]
    switch layer {
    case .residual(let block): block(x, time: time)
    case .convolution(let conv): resampling == .halving ? conv(x) : conv.afterUpsampling(x)
    case .plain: resampling(x)
    }
  }
}

/// What lets the pixels of a feature map see each other.
protocol PixelMixer {
  /// - Parameters:
  ///   - x: [B, H, W, C]
  ///   - context: tokens, [B, S, D], for a mixer that looks at any
  func callAsFunction(_ x: Tensor, context: Tensor?) -> Tensor
}

/// Everything between the embedding of time and the velocity.
struct ADMTrunk<Mixer: PixelMixer> {
  private enum Layer {
    case residual(ADMResidual, Mixer?, ADMChange?)
    case change(ADMChange)

    func callAsFunction(_ x: Tensor, time: Tensor, context: Tensor?) -> Tensor {
      switch self {
      case .change(let change): return change(x, time: time)
      case .residual(let block, let mixer, let change):
        let h = block(x, time: time)
        let mixed = mixer?(h, context: context) ?? h
        return change?(mixed, time: time) ?? mixed
      }
    }
  }

  private let stem: Convolution
  private let input: [Layer]
  private let middle: (first: ADMResidual, mixer: Mixer, second: ADMResidual)
  private let output: [Layer]
  private let norm: GroupNorm
  private let head: Convolution  // zero at the start: the velocity is zero

  init(
    _ c: ADMUNet.Configuration, _ plan: ADMPlan, _ scope: Scope,
    mixer: (_ channels: Int, _ heads: Int, Scope) -> Mixer
  ) {
    func layer(_ s: ADMPlan.Step, _ scope: Scope) -> Layer {
      if s.kind == .halving { return .change(ADMChange(c, s.inputs, .halving, scope("0"))) }
      let residual = ADMResidual(c, s.inputs, s.outputs, scope("0"))
      let mixing = s.heads.map { mixer(s.outputs, $0, scope("1")) }
      let place = scope(mixing == nil ? "1" : "2")
      let change = s.doubles ? ADMChange(c, s.outputs, .doubling, place) : nil
      return .residual(residual, mixing, change)
    }
    stem = Convolution(c.inChannels, plan.stem, kernel: 3, scope("input_blocks")("0")("0"))
    input = plan.input.enumerated().map { layer($1, scope("input_blocks")("\($0 + 1)")) }
    let (channels, place) = (plan.middle.outputs, scope("middle_block"))
    middle = (
      ADMResidual(c, channels, channels, place("0")),
      mixer(channels, plan.middle.heads!, place("1")),
      ADMResidual(c, channels, channels, place("2"))
    )
    output = plan.output.enumerated().map { layer($1, scope("output_blocks")("\($0)")) }
    let last = plan.output.last!.outputs
    norm = GroupNorm(last, groups: normGroups, eps: normEps, scope("out")("0"))
    head = Convolution(
      last, c.outChannels, kernel: 3, weights: .zeros, biases: .zeros, scope("out")("2"))
  }

  /// - Parameters:
  ///   - x: [B, H, W, in]
  ///   - time: time plus label embedding after SiLU, [B, 4·width]
  ///   - context: for the mixers
  /// - Returns: [B, H, W, out]
  func callAsFunction(_ x: Tensor, time: Tensor, context: Tensor? = nil) -> Tensor {
    var h = stem(x)
    var skips = [h]
    for layer in input {
      h = layer(h, time: time, context: context)
      skips.append(h)
    }
    h = middle.mixer(middle.first(h, time: time), context: context)
    h = middle.second(h, time: time)
    for layer in output {
      h = layer(concatenate(h, skips.removeLast()), time: time, context: context)
    }
    return head(norm(h, activation: .silu))
  }
}
