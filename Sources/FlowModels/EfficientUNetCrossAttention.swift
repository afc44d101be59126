import FlowNN
import FlowTensor
import Foundation

/// Attention of a level's pixels to those of a context of any size, for the context that FMBoost
/// names but does not build. Rombach et al. 2022, arXiv 2112.10752, section 3.3, eq. for q, k, v.
///
/// Unlike a text's, the tokens of a low-resolution latent have places: queries and keys see Fourier
/// features of theirs (Tancik et al. 2020, arXiv 2006.10739, eq. 4), so that a pixel can find what
/// lies under it.
struct EfficientUNetCrossAttention {
  /// Sines and cosines of both coordinates at so many frequencies.
  private static let frequencies = 8
  static let placeFeatures = 4 * frequencies

  private let heads: Int
  private let norm: GroupNorm
  private let query: Linear
  private let key: Linear
  private let value: Linear
  private let out: Linear  // zero at the start: the block is the identity

  init(_ channels: Int, _ c: EfficientUNet.Configuration, _ scope: Scope) {
    heads = c.heads
    let (inner, context) = (c.attentionWidth, c.crossContextChannels)
    norm = EfficientUNetResidual.norm(channels, scope("norm"))
    let linear = { (inputs: Int, scope: Scope) in
      Linear(inputs, inner, bias: false, weights: .torchDefault(fanIn: inputs), scope)
    }
    query = linear(channels + Self.placeFeatures, scope("to_q"))
    key = linear(context + Self.placeFeatures, scope("to_k"))
    value = linear(context, scope("to_v"))
    out = Linear(inner, channels, weights: .zeros, scope("to_out"))
  }

  /// - Parameters:
  ///   - x: [B, H, W, C]
  ///   - context: [B, h, w, Cc]
  func callAsFunction(_ x: Tensor, to context: Tensor) -> Tensor {
    let s = x.shape
    let mixed = attention(
      query: query(Self.placed(norm(x))), key: key(Self.placed(context)),
      value: value(Self.tokens(context)), heads: heads)  // [B, T, h·d]
    return x + out(mixed).reshaped(s)
  }

  private static func tokens(_ x: Tensor) -> Tensor {  // [B, H, W, C] → [B, T, C]
    x.reshaped([x.shape[0], x.shape[1] * x.shape[2], x.shape[3]])
  }

  /// Tokens with the features of their places behind, [B, H, W, C] → [B, T, C + 4·frequencies].
  private static func placed(_ x: Tensor) -> Tensor {
    let (b, height, width) = (x.shape[0], x.shape[1], x.shape[2])
    let rows = axisFeatures(height)
    let columns = axisFeatures(width)
    var one: [Float] = []
    for row in rows {
      for column in columns { one += row + column }
    }
    let all = [[Float]](repeating: one, count: b)
    return concatenate(
      tokens(x), Tensor([b, height * width, placeFeatures], Array(all.joined())))
  }

  /// The features of every pixel's centre along an axis of `count` pixels.
  private static func axisFeatures(_ count: Int) -> [[Float]] {
    (0..<count).map { features((Double($0) + 0.5) / Double(count)) }
  }

  /// cos(π·2ᵏ·u), sin(π·2ᵏ·u), k = 0 …, of a coordinate in [0, 1].
  private static func features(_ u: Double) -> [Float] {
    (0..<frequencies).flatMap { k in
      let angle = Double.pi * Double(1 << k) * u
      return [Float(cos(angle)), Float(sin(angle))]
    }
  }
}
