import FlowNN
import FlowTensor

/// What stands at one place of the way down or up: names are those of FMBoost's state dictionary,
/// in which a stage is a sequence.
struct EfficientUNetStage {
  enum First: Equatable {
    /// The convolution that the way down begins with.
    case convolution(inputs: Int)
    case residual(inputs: Int)
    case halving
  }

  /// What a stage is made of.
  struct Plan {
    var first: First
    var outputs: Int
    var attends = false
    /// Twice the extents at the end.
    var doubles = false
  }

  private enum Entry {
    case convolution(Convolution)
    case residual(EfficientUNetResidual)
    case mean
  }

  private let entry: Entry
  private let attention: EfficientUNetAttention?
  private let crossAttention: EfficientUNetCrossAttention?
  private let doubles: Bool
  private let double: Convolution?

  init(_ plan: Plan, _ c: EfficientUNet.Configuration, _ scope: Scope) {
    let width = plan.outputs
    switch plan.first {
    case .convolution(let inputs):
      entry = .convolution(Convolution(inputs, width, kernel: 3, scope("0")))
    case .residual(let inputs):
      entry = .residual(EfficientUNetResidual(inputs, width, c, scope("0")))
    case .halving:
      entry = c.resamplesByConvolution
        ? .convolution(Convolution(width, width, kernel: 3, stride: 2, scope("0")("op"))) : .mean
    }
    attention = plan.attends
      ? EfficientUNetAttention(width, c, linear: c.linearAttention, scope("1")) : nil
    crossAttention = plan.attends && c.crossContextChannels > 0
      ? EfficientUNetCrossAttention(width, c, scope("cross")) : nil
    doubles = plan.doubles
    double = plan.doubles && c.resamplesByConvolution
      ? Convolution(width, width, kernel: 3, scope(plan.attends ? "2" : "1")("conv")) : nil
  }

  /// - Parameters:
  ///   - x: [B, H, W, in]
  ///   - time: the time's embedding after SiLU, [B, 4·width]
  ///   - cross: what attending stages attend to beside themselves, [B, h, w, Cx]
  func callAsFunction(_ x: Tensor, _ time: Tensor, _ cross: Tensor?) -> Tensor {
    var h: Tensor
    switch entry {
    case .convolution(let convolution): h = convolution(x)
    case .residual(let residual): h = residual(x, time)
    case .mean: h = downsampleAverage2(x)
    }
    if let attention { h = attention(h) }
    if let crossAttention, let cross { h = crossAttention(h, to: cross) }
    guard doubles else { return h }
    return double?.afterUpsampling(h) ?? upsampleNearest2(h)
  }
}

/// Which stages a configuration asks for.
struct EfficientUNetPlan {
  private(set) var input: [EfficientUNetStage.Plan]
  private(set) var output: [EfficientUNetStage.Plan] = []
  let lowestWidth: Int

  init(_ c: EfficientUNet.Configuration) {
    var width = c.width
    var skips = [width]
    input = [
      EfficientUNetStage.Plan(
        first: .convolution(inputs: c.poolFactor > 1 ? c.width : c.inChannels), outputs: width)
    ]
    let levels = c.multipliers.enumerated()
    for (level, multiplier) in levels {
      let attends = c.attentionFactors.contains(1 << level)
      for _ in 0..<c.residualsPerLevel {
        input.append(
          EfficientUNetStage.Plan(
            first: .residual(inputs: width), outputs: multiplier * c.width, attends: attends))
        width = multiplier * c.width
        skips.append(width)
      }
      if level < c.multipliers.count - 1 {
        input.append(EfficientUNetStage.Plan(first: .halving, outputs: width))
        skips.append(width)
      }
    }
    lowestWidth = width
    for (level, multiplier) in levels.reversed() {
      let attends = c.attentionFactors.contains(1 << level)
      for block in 0...c.residualsPerLevel {
        output.append(
          EfficientUNetStage.Plan(
            first: .residual(inputs: width + skips.removeLast()), outputs: multiplier * c.width,
            attends: attends, doubles: level > 0 && block == c.residualsPerLevel))
        width = multiplier * c.width
      }
    }
  }
}

/// Residual, attention, residual at the lowest resolution.
struct EfficientUNetMiddle {
  let first: EfficientUNetResidual
  let attention: EfficientUNetAttention
  let crossAttention: EfficientUNetCrossAttention?
  let second: EfficientUNetResidual

  init(_ width: Int, _ c: EfficientUNet.Configuration, _ scope: Scope) {
    first = EfficientUNetResidual(width, width, c, scope("0"))
    attention = EfficientUNetAttention(width, c, linear: false, scope("1"))
    second = EfficientUNetResidual(width, width, c, scope("2"))
    crossAttention = c.crossContextChannels > 0
      ? EfficientUNetCrossAttention(width, c, scope("cross")) : nil
  }

  /// [B, H, W, C] → [B, H, W, C]
  func callAsFunction(_ x: Tensor, _ time: Tensor, _ cross: Tensor?) -> Tensor {
    var h = attention(first(x, time))
    if let crossAttention, let cross { h = crossAttention(h, to: cross) }
    return second(h, time)
  }
}

/// Sinusoidal features of the level's width, two linear maps with SiLU between and behind: every
/// block begins with that SiLU, so it stands here once.
struct EfficientUNetTime {
  let width: Int
  let first: Linear
  let second: Linear

  init(_ c: EfficientUNet.Configuration, _ scope: Scope) {
    width = c.width
    first = torchLinear(c.width, c.embeddingWidth, scope("0"))
    second = torchLinear(c.embeddingWidth, c.embeddingWidth, scope("2"))
  }

  /// [B] → [B, 4·width]
  func callAsFunction(_ t: Tensor, riding x: Tensor) -> Tensor {
    let features = timeFeatures(t, width: width).riding(with: x)  // [B, width]
    return second(first(features, activation: .silu), activation: .silu)
  }
}

/// x + conv(silu(norm(conv(silu(norm(x)))))), the time entering at the second norm, the first x
/// through a 1×1 convolution where the number of channels changes.
struct EfficientUNetResidual {
  /// Of every group norm of the network.
  static let groups = 32

  static func norm(_ channels: Int, _ scope: Scope) -> GroupNorm {
    GroupNorm(channels, groups: groups, eps: 1e-5, scope)
  }

  private let scalesAndShifts: Bool
  private let norm1: GroupNorm
  private let conv1: Convolution
  private let time: Linear
  private let norm2: GroupNorm
  private let conv2: Convolution  // zero at the start: the block is its shortcut
  private let shortcut: Convolution?

  init(_ inputs: Int, _ outputs: Int, _ c: EfficientUNet.Configuration, _ scope: Scope) {
    scalesAndShifts = c.scalesAndShifts
    norm1 = Self.norm(inputs, scope("in_layers")("0"))
    conv1 = Convolution(inputs, outputs, kernel: 3, scope("in_layers")("2"))
    time = torchLinear(
      c.embeddingWidth, c.scalesAndShifts ? 2 * outputs : outputs, scope("emb_layers")("1"))
    norm2 = Self.norm(outputs, scope("out_layers")("0"))
    conv2 = Convolution(
      outputs, outputs, kernel: 3, weights: .zeros, biases: .zeros, scope("out_layers")("3"))
    shortcut = inputs == outputs
      ? nil : Convolution(inputs, outputs, kernel: 1, scope("skip_connection"))
  }

  /// - Parameters:
  ///   - x: [B, H, W, in]
  ///   - embedding: of the time, after SiLU, [B, 4·width]
  func callAsFunction(_ x: Tensor, _ embedding: Tensor) -> Tensor {
    let h = conv1(norm1(x, activation: .silu))  // [B, H, W, out]
    let time = time(embedding)  // [B, out], or [B, 2·out]
    let normed: Tensor
    if scalesAndShifts {
      let m = time.split(into: 2)  // scale, shift
      normed = norm2(h, shift: m[1], scale: m[0], activation: .silu)
    } else {
      normed = norm2(h.adding(perSample: time), activation: .silu)
    }
    return (shortcut?(x) ?? x) + conv2(normed)
  }
}

/// Self-attention over what FMBoost takes for tokens.
///
/// The reference holds q, k and v as [B, 3·h·d, T] and reads the same memory as [B, h, T, 3·d]
/// without a transposition. A «token» of a head is thus a run of 3·d consecutive pixels of one
/// channel, and all released weights were trained that way.
struct EfficientUNetAttention {
  private let heads: Int
  private let headWidth: Int
  private let isLinear: Bool
  private let norm: GroupNorm
  private let qkv: PointwiseConvolution
  private let projection: PointwiseConvolution  // zero at the start: the block is the identity

  init(_ channels: Int, _ c: EfficientUNet.Configuration, linear: Bool, _ scope: Scope) {
    (heads, headWidth, isLinear) = (c.heads, c.headWidth, linear)
    norm = EfficientUNetResidual.norm(channels, scope("norm"))
    qkv = PointwiseConvolution(channels, 3 * c.attentionWidth, scope("qkv"))
    projection = PointwiseConvolution(
      c.attentionWidth, channels, initializer: .zeros, scope("proj_out"))
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, C] → [B, H, W, C]
    let s = x.shape
    let (b, t, width) = (s[0], s[1] * s[2], heads * headWidth)
    let planes = transposed(qkv(norm(x).reshaped([b, t, s[3]])))  // [B, 3·h·d, T]
    let tokens = planes.reshaped([b * heads, t, 3 * headWidth])
    let mixed = isLinear
      ? linearSelfAttention(qkv: tokens) : selfAttention(qkv: tokens, heads: 1)  // [B·h, T, d]
    return x + projection(transposed(mixed.reshaped([b, width, t]))).reshaped(s)
  }
}

/// A convolution over one axis with a kernel of one: weights [out, in, 1].
struct PointwiseConvolution {
  let weight: Parameter
  let bias: Parameter

  /// - Parameter initializer: PyTorch's default unless given.
  init(_ inputs: Int, _ outputs: Int, initializer: Initializer? = nil, _ scope: Scope) {
    let initializer = initializer ?? .torchDefault(fanIn: inputs)
    weight = scope.parameter("weight", [outputs, inputs, 1], initializer)
    bias = scope.parameter("bias", [outputs], initializer)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // […, in] → […, out]
    linear(x, weight: weight.tensor, bias: bias.tensor)
  }
}

/// A linear map that starts as PyTorch's does.
private func torchLinear(_ inputs: Int, _ outputs: Int, _ scope: Scope) -> Linear {
  Linear(
    inputs, outputs, weights: .torchDefault(fanIn: inputs), biases: .torchDefault(fanIn: inputs),
    scope)
}
