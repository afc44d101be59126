import FlowNN
import FlowTensor

// The blocks of the U-Nets of Karras et al. 2022, arXiv 2206.00364, appendix F.  Names are those
// of their state dictionaries.

enum EDMResampling { case none, down, up }

/// The low-pass filter in front of halving and behind doubling.
enum EDMFilter {
  /// [1, 1] / 2: means of squares, and nearest-neighbour doubling.
  case box
  /// [1, 3, 3, 1] / 8
  case binomial

  /// The filter is a constant of the state dictionary, under `resample_filter`.
  func declare(_ scope: Scope) {
    let taps: [Float] = self == .box ? [0.5, 0.5] : [0.125, 0.375, 0.375, 0.125]
    _ = scope.parameter(
      "resample_filter", [1, 1, taps.count, taps.count],
      .values(taps.flatMap { a in taps.map { a * $0 } }), trainable: false)
  }

  func down(_ x: Tensor) -> Tensor {
    self == .box ? downsampleAverage2(x) : downsampleBinomial(x, padding: 1)
  }

  func up(_ x: Tensor) -> Tensor {
    self == .box ? upsampleNearest2(x) : upsampleBinomial(x)
  }
}

/// Which of a network's rules a layer starts by.
enum EDMRole { case plain, attention, last }

/// In what the blocks of ADM and of DDPM++ and NCSN++ differ.
struct EDMBlockStyle {
  /// ADM, or else DDPM++ and NCSN++.
  let isADM: Bool
  /// Width of the embedding of time and label.
  let embedding: Int
  let filter: EDMFilter
  /// Blocks that attend are transformer blocks, which see the label's embedding besides.
  let attendsToContext: Bool

  /// Behind each sum of two branches.
  var skipScale: Float { isADM ? 1 : Float(0.5).squareRoot() }
  var eps: Float { isADM ? 1e-5 : 1e-6 }

  /// Heads of 64 channels, so that narrow blocks have none (ADM); one head.
  func heads(_ channels: Int) -> Int { isADM ? channels / 64 : 1 }

  func norm(_ channels: Int, _ scope: Scope) -> GroupNorm {
    GroupNorm(channels, groups: edmGroups(channels), eps: eps, scope)
  }

  /// ADM starts as PyTorch does, the others by Glorot's rule without biases.
  func linear(_ inputs: Int, _ outputs: Int, _ scope: Scope) -> Linear {
    let bound = Initializer.torchDefault(fanIn: inputs)
    return Linear(
      inputs, outputs, weights: isADM ? bound : .xavierUniform(fanIn: inputs, fanOut: outputs),
      biases: isADM ? bound : .zeros, scope)
  }

  func convolution(
    _ inputs: Int, _ outputs: Int, kernel: Int, padding: Padding? = nil, _ role: EDMRole,
    _ scope: Scope
  ) -> Convolution {
    let weights: Initializer?
    if isADM {
      weights = role == .last ? .zeros : nil
    } else {
      let gain: Float = role == .plain ? 1 : role == .attention ? Float(0.2).squareRoot() : 1e-5
      weights = .xavierUniform(
        fanIn: inputs * kernel * kernel, fanOut: outputs * kernel * kernel, gain: gain)
    }
    return Convolution(
      inputs, outputs, kernel: kernel, padding: padding, weights: weights,
      biases: isADM && role != .last ? nil : .zeros, scope)
  }

  /// Whether the skip branch has a convolution: nil for an identity, 0 for resampling alone.
  func skipKernel(_ stage: EDMStage) -> Int? {
    if stage.inputs != stage.outputs { return 1 }
    if stage.resampling == .none { return nil }
    return isADM ? 0 : 1
  }

  /// Multiply-adds of a block for one sample.
  func products(_ stage: EDMStage) -> Double {
    let (cin, c, e) = (Double(stage.inputs), Double(stage.outputs), Double(embedding))
    let t = Double(stage.resolution * stage.resolution)
    var sum = t * 9 * (cin * c + c * c) + e * c * (isADM ? 2 : 1)
    if skipKernel(stage) == 1 { sum += t * cin * c }
    guard stage.attends && heads(stage.outputs) > 0 else { return sum }
    sum += 4 * t * c * c + 2 * t * t * c
    if attendsToContext { sum += e * c + c * c + 8 * t * c * c }
    return sum
  }
}

/// A convolution behind a resampling, or the resampling alone.
struct EDMConvolution {
  let convolution: Convolution?
  let resampling: EDMResampling
  let filter: EDMFilter

  /// - Parameter kernel: 0 for none.
  init(_ stage: EDMStage, kernel: Int, _ style: EDMBlockStyle, _ scope: Scope) {
    convolution = kernel == 0
      ? nil : style.convolution(stage.inputs, stage.outputs, kernel: kernel, .plain, scope)
    (resampling, filter) = (stage.resampling, style.filter)
    if resampling != .none { filter.declare(scope) }
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, in] → [B, H′, W′, out]
    switch resampling {
    case .none: return convolution?(x) ?? x
    case .down:
      let h = filter.down(x)
      return convolution?(h) ?? h
    case .up:
      guard let convolution else { return filter.up(x) }
      if filter == .binomial { return convolution(filter.up(x)) }
      // Doubling by the box filter keeps constants: a 1×1 convolution commutes with it.
      return convolution.weight.shape[2] == 1
        ? filter.up(convolution(x)) : convolution.afterUpsampling(x)
    }
  }
}

/// Residual block with the embedding of time and label, and attention behind it.
struct EDMBlock {
  let style: EDMBlockStyle
  let takesSkip: Bool
  let norm0: GroupNorm
  let conv0: EDMConvolution
  let affine: Linear
  let norm1: GroupNorm
  let conv1: Convolution
  let skip: EDMConvolution?
  let attention: EDMAttention?
  let transformer: EDMTransformer?

  init(_ stage: EDMStage, _ style: EDMBlockStyle, _ scope: Scope) {
    (self.style, takesSkip) = (style, stage.takesSkip)
    let outputs = stage.outputs
    norm0 = style.norm(stage.inputs, scope("norm0"))
    conv0 = EDMConvolution(stage, kernel: 3, style, scope("conv0"))
    affine = style.linear(style.embedding, outputs * (style.isADM ? 2 : 1), scope("affine"))
    norm1 = style.norm(outputs, scope("norm1"))
    conv1 = style.convolution(outputs, outputs, kernel: 3, .last, scope("conv1"))
    skip = style.skipKernel(stage).map { EDMConvolution(stage, kernel: $0, style, scope("skip")) }
    let attends = stage.attends && style.heads(outputs) > 0
    attention = attends && !style.attendsToContext ? EDMAttention(outputs, style, scope) : nil
    transformer = attends && style.attendsToContext
      ? EDMTransformer(outputs, style, scope("transformer")) : nil
  }

  /// - Parameters:
  ///   - x: [B, H, W, in]
  ///   - embedding: [B, E]
  ///   - context: [B, E], for transformer blocks
  /// - Returns: [B, H′, W′, out]
  func callAsFunction(_ x: Tensor, embedding: Tensor, context: Tensor?) -> Tensor {
    var h = conv0(norm0(x, activation: .silu))
    let p = affine(embedding)
    if style.isADM {
      let m = p.split(into: 2)  // scale, shift, [B, out]
      h = norm1(h, modulation: (m[0], m[1]), activation: .silu)
    } else {
      h = norm1(h.adding(perSample: p), activation: .silu)
    }
    h = scaled(conv1(h) + (skip?(x) ?? x))
    if let attention { h = scaled(h + attention(h)) }
    if let transformer, let context { h = scaled(transformer(h, context: context)) }
    return h
  }

  private func scaled(_ x: Tensor) -> Tensor {
    style.skipScale == 1 ? x : style.skipScale * x
  }
}

/// Self-attention over pixels.
struct EDMAttention {
  let heads: Int
  let norm: GroupNorm
  let qkv: Convolution
  let projection: Convolution
  /// Rows of `qkv` in the order (q, k, v), heads side by side in each. The state dictionary has
  /// them by head and by channel within the head, q, k and v of a channel side by side.
  let order: [Int]

  init(_ channels: Int, _ style: EDMBlockStyle, _ scope: Scope) {
    heads = style.heads(channels)
    norm = style.norm(channels, scope("norm2"))
    qkv = style.convolution(channels, 3 * channels, kernel: 1, .attention, scope("qkv"))
    projection = style.convolution(channels, channels, kernel: 1, .last, scope("proj"))
    order = (0..<3).flatMap { part in (0..<channels).map { 3 * $0 + part } }
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, C] → [B, H, W, C]
    let (s, c) = (x.shape, x.shape[3])
    let tokens = norm(x).reshaped([s[0], s[1] * s[2], c])  // [B, T, C]
    let weight = embedding(qkv.weight.tensor.reshaped([3 * c, c]), order, riding: x)
    let bias = embedding(qkv.bias!.tensor.reshaped([3 * c, 1]), order, riding: x)
    let mixed = selfAttention(
      qkv: linear(tokens, weight: weight, bias: bias.reshaped([3 * c])), heads: heads)
    return projection(mixed.reshaped(s))
  }
}

/// Self-attention, attention to the label's embedding, and an MLP (LFM's `adm_context`).
struct EDMTransformer {
  let heads: Int
  let norms: [GroupNorm]
  let toSelf: EDMProjections
  let toContext: EDMProjections
  let expand: Linear
  let contract: Linear

  init(_ channels: Int, _ style: EDMBlockStyle, _ scope: Scope) {
    heads = style.heads(channels)
    norms = (1...3).map { style.norm(channels, scope("norm\($0)")) }
    toSelf = EDMProjections(channels, context: channels, style, scope("attn1"))
    toContext = EDMProjections(channels, context: style.embedding, style, scope("attn2"))
    expand = style.linear(channels, 4 * channels, scope("ff")("layer0"))
    contract = style.linear(4 * channels, channels, scope("ff")("layer1"))
  }

  /// - Parameters:
  ///   - x: [B, H, W, C]
  ///   - context: [B, E]
  func callAsFunction(_ x: Tensor, context: Tensor) -> Tensor {
    let s = x.shape
    let tokens: Shape = [s[0], s[1] * s[2], s[3]]
    let a = norms[0](x)
    let mixed = attention(
      query: toSelf.query(a).reshaped(tokens), key: toSelf.key(a).reshaped(tokens),
      value: toSelf.value(a).reshaped(tokens), heads: heads)
    var h = x + toSelf.projection(mixed.reshaped(s))
    // Softmax over the single token of the context is 1: query, key and the second norm are
    // parameters that have no effect.
    let token = toContext.value(context.reshaped([s[0], 1, 1, context.shape[1]]))
    h = h.adding(perSample: toContext.projection(token).reshaped([s[0], s[3]]))
    return h + contract(expand(norms[2](h), activation: .silu))
  }
}

/// The 1×1 convolutions of an attention, heads side by side.
struct EDMProjections {
  let query: Convolution
  let key: Convolution
  let value: Convolution
  let projection: Convolution

  init(_ channels: Int, context: Int, _ style: EDMBlockStyle, _ scope: Scope) {
    query = style.convolution(channels, channels, kernel: 1, .attention, scope("q"))
    key = style.convolution(context, channels, kernel: 1, .attention, scope("k"))
    value = style.convolution(context, channels, kernel: 1, .attention, scope("v"))
    projection = style.convolution(channels, channels, kernel: 1, .last, scope("proj"))
  }
}
