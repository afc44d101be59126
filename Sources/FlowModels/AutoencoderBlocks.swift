import FlowNN
import FlowTensor

// The blocks of AutoencoderKL.  Names are those of diffusers' state dictionaries.

/// Of all group norms of the autoencoder; PyTorch's own default is 1e-5.
private let normEps: Float = 1e-6

/// x + conv(silu(norm(conv(silu(norm(x)))))), the first x through a 1×1 convolution where the
/// number of channels changes.
struct AutoencoderResidual {
  let norm1: GroupNorm
  let conv1: Convolution
  let norm2: GroupNorm
  let conv2: Convolution
  let shortcut: Convolution?

  init(_ inputs: Int, _ outputs: Int, groups: Int, _ scope: Scope) {
    norm1 = GroupNorm(inputs, groups: groups, eps: normEps, scope("norm1"))
    conv1 = Convolution(inputs, outputs, kernel: 3, scope("conv1"))
    norm2 = GroupNorm(outputs, groups: groups, eps: normEps, scope("norm2"))
    conv2 = Convolution(outputs, outputs, kernel: 3, scope("conv2"))
    shortcut = inputs == outputs
      ? nil : Convolution(inputs, outputs, kernel: 1, scope("conv_shortcut"))
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, in] → [B, H, W, out]
    let h = conv1(norm1(x, activation: .silu))
    let update = conv2(norm2(h, activation: .silu))
    return (shortcut?(x) ?? x) + update
  }
}

/// Self-attention over pixels with one head of all channels.
struct AutoencoderAttention {
  let norm: GroupNorm
  let query: Linear
  let key: Linear
  let value: Linear
  let out: Linear

  init(_ channels: Int, groups: Int, _ scope: Scope) {
    norm = GroupNorm(channels, groups: groups, eps: normEps, scope("group_norm"))
    let linear = { (scope: Scope) in
      Linear(channels, channels, weights: .torchDefault(fanIn: channels), scope)
    }
    query = linear(scope("to_q"))
    key = linear(scope("to_k"))
    value = linear(scope("to_v"))
    out = linear(scope("to_out")("0"))
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, C] → [B, H, W, C]
    let s = x.shape
    let h = norm(x).reshaped([s[0], s[1] * s[2], s[3]])  // [B, T, C]
    let mixed = attention(query: query(h), key: key(h), value: value(h), heads: 1)
    return x + out(mixed).reshaped(s)
  }
}

/// Residual, attention, residual at the lowest resolution.
struct AutoencoderMiddle {
  let first: AutoencoderResidual
  let attention: AutoencoderAttention?
  let second: AutoencoderResidual

  init(_ channels: Int, groups: Int, attends: Bool, _ scope: Scope) {
    attention = attends
      ? AutoencoderAttention(channels, groups: groups, scope("attentions")("0")) : nil
    first = AutoencoderResidual(channels, channels, groups: groups, scope("resnets")("0"))
    second = AutoencoderResidual(channels, channels, groups: groups, scope("resnets")("1"))
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, C] → [B, H, W, C]
    let h = first(x)
    return second(attention?(h) ?? h)
  }
}

/// One level of the encoder: residuals, then half the extents except at the last level.
struct AutoencoderDownLevel {
  let residuals: [AutoencoderResidual]
  let halve: Convolution?

  init(
    _ inputs: Int, _ outputs: Int, layers: Int, groups: Int, isLast: Bool, _ scope: Scope
  ) {
    residuals = (0..<layers).map { j in
      AutoencoderResidual(
        j == 0 ? inputs : outputs, outputs, groups: groups, scope("resnets")("\(j)"))
    }
    // Zeros below and to the right only, as the reference pads.
    halve = isLast
      ? nil
      : Convolution(
        outputs, outputs, kernel: 3, stride: 2,
        padding: Padding(top: 0, left: 0, bottom: 1, right: 1),
        scope("downsamplers")("0")("conv"))
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, in] → [B, H/2, W/2, out]
    let h = residuals.reduce(x) { $1($0) }
    return halve?(h) ?? h
  }
}

/// One level of the decoder: residuals, then twice the extents except at the last level.
struct AutoencoderUpLevel {
  let residuals: [AutoencoderResidual]
  let double: Convolution?

  init(
    _ inputs: Int, _ outputs: Int, layers: Int, groups: Int, isLast: Bool, _ scope: Scope
  ) {
    residuals = (0..<layers).map { j in
      AutoencoderResidual(
        j == 0 ? inputs : outputs, outputs, groups: groups, scope("resnets")("\(j)"))
    }
    double = isLast
      ? nil : Convolution(outputs, outputs, kernel: 3, scope("upsamplers")("0")("conv"))
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, in] → [B, 2·H, 2·W, out]
    let h = residuals.reduce(x) { $1($0) }
    return double?.afterUpsampling(h) ?? h
  }
}

/// Images to the moments of the latent distribution.
struct AutoencoderEncoder {
  let convIn: Convolution
  let levels: [AutoencoderDownLevel]
  let middle: AutoencoderMiddle
  let norm: GroupNorm
  let convOut: Convolution

  init(_ c: AutoencoderKL.Configuration, _ scope: Scope) {
    let widths = c.blockChannels
    convIn = Convolution(c.inChannels, widths[0], kernel: 3, scope("conv_in"))
    levels = widths.indices.map { i in
      AutoencoderDownLevel(
        widths[max(0, i - 1)], widths[i], layers: c.layersPerBlock, groups: c.groups,
        isLast: i == widths.count - 1, scope("down_blocks")("\(i)"))
    }
    let last = widths[widths.count - 1]
    middle = AutoencoderMiddle(
      last, groups: c.groups, attends: c.midAttention, scope("mid_block"))
    norm = GroupNorm(last, groups: c.groups, eps: normEps, scope("conv_norm_out"))
    convOut = Convolution(last, 2 * c.latentChannels, kernel: 3, scope("conv_out"))
  }

  /// [B, H, W, in] → [B, H/f, W/f, last width]
  func features(_ x: Tensor) -> Tensor { middle(levels.reduce(convIn(x)) { $1($0) }) }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, in] → [B, H/f, W/f, 2·latent]
    convOut(norm(features(x), activation: .silu))
  }
}

/// Latents to images.
struct AutoencoderDecoder {
  let convIn: Convolution
  let middle: AutoencoderMiddle
  let levels: [AutoencoderUpLevel]
  let norm: GroupNorm
  let convOut: Convolution

  init(_ c: AutoencoderKL.Configuration, _ scope: Scope) {
    let widths = Array(c.blockChannels.reversed())
    convIn = Convolution(c.latentChannels, widths[0], kernel: 3, scope("conv_in"))
    middle = AutoencoderMiddle(
      widths[0], groups: c.groups, attends: c.midAttention, scope("mid_block"))
    levels = widths.indices.map { i in
      AutoencoderUpLevel(
        widths[max(0, i - 1)], widths[i], layers: c.layersPerBlock + 1, groups: c.groups,
        isLast: i == widths.count - 1, scope("up_blocks")("\(i)"))
    }
    let last = widths[widths.count - 1]
    norm = GroupNorm(last, groups: c.groups, eps: normEps, scope("conv_norm_out"))
    convOut = Convolution(last, c.inChannels, kernel: 3, scope("conv_out"))
  }

  func callAsFunction(_ z: Tensor) -> Tensor {  // [B, H/f, W/f, latent] → [B, H, W, out]
    let h = levels.reduce(middle(convIn(z))) { $1($0) }
    return convOut(norm(h, activation: .silu))
  }
}
