import FlowNN
import FlowTensor

// Rombach et al. 2022, arXiv 2112.10752, section 3.3 and appendix E.2.1: pixels attend to
// themselves and to the tokens of a context.

/// Norm, a map to tokens, transformer blocks, and back; added to its input.
struct SpatialTransformer: PixelMixer {
  let norm: GroupNorm
  let projectIn: Convolution
  let blocks: [TransformerBlock]
  let projectOut: Convolution  // zero at the start: the whole is the identity

  init(_ channels: Int, heads: Int, depth: Int, contextWidth: Int, _ scope: Scope) {
    norm = GroupNorm(channels, groups: 32, eps: 1e-6, scope("norm"))
    projectIn = Convolution(channels, channels, kernel: 1, scope("proj_in"))
    blocks = (0..<depth).map {
      TransformerBlock(
        channels, heads: heads, contextWidth: contextWidth, scope("transformer_blocks")("\($0)"))
    }
    projectOut = Convolution(
      channels, channels, kernel: 1, weights: .zeros, biases: .zeros, scope("proj_out"))
  }

  func callAsFunction(_ x: Tensor, context: Tensor?) -> Tensor {  // [B, H, W, C] → [B, H, W, C]
    let s = x.shape
    guard let context else { preconditionFailure("a spatial transformer without a context") }
    let tokens = projectIn(norm(x)).reshaped([s[0], s[1] * s[2], s[3]])  // [B, T, C]
    let mixed = blocks.reduce(tokens) { $1($0, context: context) }
    return x + projectOut(mixed.reshaped(s))
  }

  /// - Parameter contextTokens: how many tokens of context the cost is stated for
  static func multiplyAdds(
    _ channels: Int, tokens: Double, depth: Int, contextWidth: Int, contextTokens: Int
  ) -> Double {
    let (c, s) = (Double(channels), Double(contextTokens))
    let own = tokens * 4 * c * c + 2 * tokens * tokens * c
    let cross = tokens * 2 * c * c + s * 2 * Double(contextWidth) * c + 2 * tokens * s * c
    let forward = tokens * 12 * c * c
    return Double(depth) * (own + cross + forward) + tokens * 2 * c * c
  }
}

/// Self-attention, attention to the context, and a gated feed-forward network, each behind a norm
/// and added to its input.
struct TransformerBlock {
  let norm1: LayerNorm
  let own: CrossAttention
  let norm2: LayerNorm
  let cross: CrossAttention
  let norm3: LayerNorm
  let expand: Linear
  let contract: Linear

  init(_ width: Int, heads: Int, contextWidth: Int, _ scope: Scope) {
    own = CrossAttention(width, keys: width, heads: heads, scope("attn1"))
    cross = CrossAttention(width, keys: contextWidth, heads: heads, scope("attn2"))
    let hidden = 4 * width
    expand = torchLinear(width, 2 * hidden, scope("ff")("net")("0")("proj"))
    contract = torchLinear(hidden, width, scope("ff")("net")("2"))
    norm1 = LayerNorm(width, eps: 1e-5, scope("norm1"))
    norm2 = LayerNorm(width, eps: 1e-5, scope("norm2"))
    norm3 = LayerNorm(width, eps: 1e-5, scope("norm3"))
  }

  /// - Parameters:
  ///   - x: [B, T, C]
  ///   - context: [B, S, D]
  func callAsFunction(_ x: Tensor, context: Tensor) -> Tensor {
    let n = norm1(x)
    let a = x + own(n, to: n)
    let b = a + cross(norm2(a), to: context)
    return b + contract(geglu(expand(norm3(b))))
  }
}

/// Queries from one sequence, keys and values from another.
struct CrossAttention {
  let heads: Int
  let query: Linear
  let key: Linear
  let value: Linear
  let out: Linear

  init(_ width: Int, keys: Int, heads: Int, _ scope: Scope) {
    self.heads = heads
    query = torchLinear(width, width, bias: false, scope("to_q"))
    key = torchLinear(keys, width, bias: false, scope("to_k"))
    value = torchLinear(keys, width, bias: false, scope("to_v"))
    out = torchLinear(width, width, scope("to_out")("0"))
  }

  /// [B, T, C] attending to [B, S, D] → [B, T, C]
  func callAsFunction(_ x: Tensor, to context: Tensor) -> Tensor {
    out(attention(query: query(x), key: key(context), value: value(context), heads: heads))
  }
}
