import FlowCore
import FlowNN
import FlowTensor
import Foundation

/// Diffusion transformer with adaLN-Zero conditioning.
/// Peebles & Xie 2022, «Scalable Diffusion Models with Transformers», arXiv 2212.09748.
///
/// As LFM has it: the time in [0, 1] goes into the sinusoidal features as it is (unless `timeScale`
/// says otherwise); without labels the last row of the label table serves, which is the null class
/// where there is label dropout.
public struct DiT: VelocityNetwork {
  public struct Configuration: NetworkConfiguration {
    /// Extent of the square latent, in latent pixels.
    public var resolution: Int
    public var channels: Int
    /// Channels of `Condition.context`, concatenated behind the latent's: the first map sees them,
    /// the velocity has none of them.
    public var contextChannels: Int
    public var patch: Int
    public var width: Int
    public var depth: Int
    public var heads: Int
    public var mlpRatio: Double
    /// Real classes; 1 for unconditional models, as the reference has it.
    public var classes: Int
    /// The table has a null class in its last row (label dropout above 0 in training).
    public var hasNullClass: Bool
    /// Twice the output channels; the second half is not guided.
    public var learnsSigma: Bool
    /// Times are multiplied by this before the sinusoidal features: 1 in LFM, 1,000 in DiT, whose
    /// slowest features would otherwise hardly change over [0, 1].
    public var timeScale: Float

    public init(
      resolution: Int, channels: Int, contextChannels: Int = 0, patch: Int, width: Int, depth: Int,
      heads: Int, mlpRatio: Double = 4, classes: Int, hasNullClass: Bool, learnsSigma: Bool = false,
      timeScale: Float = 1
    ) {
      (self.resolution, self.channels, self.patch) = (resolution, channels, patch)
      self.contextChannels = contextChannels
      (self.width, self.depth, self.heads) = (width, depth, heads)
      (self.mlpRatio, self.classes) = (mlpRatio, classes)
      (self.hasNullClass, self.learnsSigma) = (hasNullClass, learnsSigma)
      self.timeScale = timeScale
    }

    /// Width, depth and heads of a published size, `S`, `B`, `L` or `XL` (table 1).
    public static func size(_ name: String) -> (width: Int, depth: Int, heads: Int)? {
      switch name {
      case "S": (384, 12, 6)
      case "B": (768, 12, 12)
      case "L": (1024, 24, 16)
      case "XL": (1152, 28, 16)
      default: nil
      }
    }

    public var latentShape: [Int] { [resolution, resolution, channels] }
    public var withoutContext: Configuration {
      var c = self
      c.contextChannels = 0
      return c
    }
    public var nullLabel: Int? { hasNullClass ? classes : nil }
    /// Channels of the state and of the context behind it.
    public var inputChannels: Int { channels + contextChannels }
    public var outputChannels: Int { learnsSigma ? 2 * channels : channels }
    public var tokens: Int { (resolution / patch) * (resolution / patch) }
    /// Rows of the label table.
    public var labelRows: Int { classes + (hasNullClass ? 1 : 0) }

    /// Multiply-adds × 2 of one forward pass for one sample, products only.
    public var flopsPerSample: Double {
      let (t, d, h) = (Double(tokens), Double(width), mlpRatio * Double(width))
      let block = t * (4 * d * d + 2 * d * h) + 2 * t * t * d + 6 * d * d
      let columns = Double(inputChannels * patch * patch)
      let ends = t * d * columns + t * d * Double(outputChannels * patch * patch) + 2 * d * d
      return 2 * (Double(depth) * block + ends + 256 * d + d * d)
    }
  }

  public let configuration: Configuration
  let patchEmbedding: PatchEmbedding
  let timeEmbedding: TimeEmbedding
  let labelTable: Parameter
  let positions: Parameter
  let blocks: [DiTBlock]
  let head: DiTHead

  public init(_ c: Configuration, _ scope: Scope) {
    configuration = c
    patchEmbedding = PatchEmbedding(c, scope("x_embedder"))
    timeEmbedding = TimeEmbedding(width: c.width, scale: c.timeScale, scope("t_embedder"))
    labelTable = scope("y_embedder")("embedding_table").parameter(
      "weight", [c.labelRows, c.width], .normal(std: 0.02))
    positions = scope.parameter(
      "pos_embed", [1, c.tokens, c.width],
      .values(sinCosPositions(width: c.width, grid: c.resolution / c.patch)), trainable: false)
    blocks = (0..<c.depth).map { DiTBlock(c, scope("blocks")("\($0)")) }
    head = DiTHead(c, scope("final_layer"))
  }

  /// The velocity at (x, t).
  ///
  /// - Parameters:
  ///   - x: the state, [B, H, W, C]; or state and context side by side, if `condition` has none
  ///   - t: [B], or one time for all
  ///   - condition: its labels are B rows of the label table; nil for the last row. Its context,
  ///     [B, H, W, Cc], is concatenated to the state
  /// - Returns: [B, H, W, C], or 2·C with a learned sigma
  public func callAsFunction(_ x: Tensor, t: Tensor, condition: Condition) -> Tensor {
    let c = configuration
    let b = x.shape[0]
    let input = condition.context.map { concatenate(x, $0) } ?? x  // [B, H, W, C + Cc]
    precondition(
      input.shape.dims == [b, c.resolution, c.resolution, c.inputChannels],
      "DiT: state \(x.shape), with its context \(input.shape), expected [\(b), \(c.resolution), "
        + "\(c.resolution), \(c.inputChannels)]")
    let times = t.count == 1 && b > 1 ? Tensor([b], fill: t.base[0]) : t
    precondition(times.count == b, "DiT: \(t.count) times for \(b) samples")
    let rows = condition.labels ?? Array(repeating: c.labelRows - 1, count: b)
    precondition(rows.count == b, "DiT: \(rows.count) labels for \(b) samples")

    let time = timeEmbedding(times, riding: input)  // [B, D]
    let label = embedding(labelTable.tensor, rows, riding: input)  // [B, D]
    let modulation = silu(time + label)  // [B, D]
    var h = patchEmbedding(input).adding(constantRows: positions.tensor)  // [B, T, D]
    for block in blocks { h = block(h, condition: modulation) }
    return unpatchify(
      head(h, condition: modulation), patch: c.patch, height: c.resolution, width: c.resolution)
  }
}

/// A convolution with stride equal to its kernel, as a product over patches.
struct PatchEmbedding {
  let patch: Int
  let weight: Parameter
  let bias: Parameter

  init(_ c: DiT.Configuration, _ scope: Scope) {
    patch = c.patch
    let columns = c.inputChannels * c.patch * c.patch
    weight = scope("proj").parameter(
      "weight", [c.width, c.inputChannels, c.patch, c.patch],
      .xavierUniform(fanIn: columns, fanOut: c.width))
    bias = scope("proj").parameter("bias", [c.width], .zeros)
  }

  /// [B, H, W, C] → [B, T, D]
  func callAsFunction(_ x: Tensor) -> Tensor {
    linear(patchify(x, patch: patch), weight: weight.tensor, bias: bias.tensor)
  }
}

/// Sinusoidal features of width 256, then two linear maps with SiLU between.
struct TimeEmbedding {
  static let featureWidth = 256
  let scale: Float
  let first: Linear
  let second: Linear

  init(width: Int, scale: Float, _ scope: Scope) {
    self.scale = scale
    first = Linear(Self.featureWidth, width, weights: .normal(std: 0.02), scope("mlp")("0"))
    second = Linear(width, width, weights: .normal(std: 0.02), scope("mlp")("2"))
  }

  /// [B] → [B, D]
  func callAsFunction(_ t: Tensor, riding x: Tensor) -> Tensor {
    let features = timeFeatures(scale * t, width: Self.featureWidth)  // [B, 256]
    return second(first(features.riding(with: x), activation: .silu))
  }
}

/// One block (figure 3, «DiT block with adaLN-Zero»).
struct DiTBlock {
  let heads: Int
  let qkv: Linear
  let projection: Linear
  let expand: Linear
  let contract: Linear
  let modulation: Linear  // zero at the start: the block is the identity

  init(_ c: DiT.Configuration, _ scope: Scope) {
    heads = c.heads
    let hidden = Int(Double(c.width) * c.mlpRatio)
    qkv = Linear(c.width, 3 * c.width, scope("attn")("qkv"))
    projection = Linear(c.width, c.width, scope("attn")("proj"))
    expand = Linear(c.width, hidden, scope("mlp")("fc1"))
    contract = Linear(hidden, c.width, scope("mlp")("fc2"))
    modulation = Linear(c.width, 6 * c.width, weights: .zeros, scope("adaLN_modulation")("1"))
  }

  /// - Parameters:
  ///   - x: [B, T, D]
  ///   - condition: time plus label embedding after SiLU, [B, D]
  func callAsFunction(_ x: Tensor, condition: Tensor) -> Tensor {
    let m = modulation(condition).split(into: 6)  // shift, scale, gate for each half, [B, D]
    let attended = projection(
      selfAttention(qkv: qkv(layerNorm(x, shift: m[0], scale: m[1])), heads: heads))
    let h = gatedResidual(x, gate: m[2], attended)  // [B, T, D]
    let mixed = contract(
      expand(layerNorm(h, shift: m[3], scale: m[4]), activation: .geluTanh))
    return gatedResidual(h, gate: m[5], mixed)  // [B, T, D]
  }
}

/// Norm, modulation and the linear map to patches; all zero at the start.
struct DiTHead {
  let modulation: Linear
  let output: Linear

  init(_ c: DiT.Configuration, _ scope: Scope) {
    output = Linear(
      c.width, c.patch * c.patch * c.outputChannels, weights: .zeros, scope("linear"))
    modulation = Linear(c.width, 2 * c.width, weights: .zeros, scope("adaLN_modulation")("1"))
  }

  /// [B, T, D] → [B, T, p·p·C]
  func callAsFunction(_ x: Tensor, condition: Tensor) -> Tensor {
    let m = modulation(condition).split(into: 2)
    return output(layerNorm(x, shift: m[0], scale: m[1]))
  }
}

/// Fixed two-dimensional sine-cosine positions, [T, D]: the first half of D encodes the column, the
/// second the row; in each, sines come before cosines. ω_i = 10000^(−i / (D/4)).
func sinCosPositions(width d: Int, grid: Int) -> [Float] {
  precondition(d % 4 == 0, "a position embedding needs a width divisible by 4, found \(d)")
  let quarter = d / 4
  var values = [Float](repeating: 0, count: grid * grid * d)
  for row in 0..<grid {
    for column in 0..<grid {
      let first = (row * grid + column) * d
      for i in 0..<quarter {
        let frequency = pow(10_000, -Double(i) / Double(quarter))
        values[first + i] = Float(sin(Double(column) * frequency))
        values[first + quarter + i] = Float(cos(Double(column) * frequency))
        values[first + 2 * quarter + i] = Float(sin(Double(row) * frequency))
        values[first + 3 * quarter + i] = Float(cos(Double(row) * frequency))
      }
    }
  }
  return values
}
