import Diagnostics
import FlowCore
import FlowNN
import FlowTensor

/// The U-Net of guided diffusion.
/// Dhariwal & Nichol 2021, «Diffusion models beat GANs on image synthesis», arXiv 2105.05233.
///
/// As LFM has it: the time in [0, 1] goes into the sinusoidal features as it is (unless `timeScale`
/// says otherwise). There is no dropout.
public struct ADMUNet: VelocityNetwork {
  public struct Configuration: NetworkConfiguration {
    /// Extent of the square latent, in latent pixels; the network itself takes others, too.
    public var resolution: Int
    /// Channels of the network's input: the state's and those of a context (a masked latent and
    /// its mask, a semantic map).
    public var inChannels: Int
    /// Channels of the state and of its velocity.
    public var outChannels: Int
    /// Width that the multiples multiply; the embeddings have four times as many channels.
    public var width: Int
    /// Width of each level, highest resolution first, as a multiple of `width`.
    public var multiples: [Double]
    /// Residual blocks per level of the encoder; the decoder has one more.
    public var residuals: Int
    /// Where there is attention: input pixels per pixel of the level, along each axis. The middle
    /// always has it.
    public var attentionFactors: [Int]
    public var heads: Int
    /// Heads of the decoder; nil for those of the encoder.
    public var decoderHeads: Int?
    /// Channels of one head; overrides both numbers of heads.
    public var headChannels: Int?
    /// How the linear map of an attention orders its outputs; `.headsFirst` is the older one.
    public var order: ProjectionOrder
    /// Time scales and shifts the second norm of a residual block; otherwise it is added.
    public var usesScaleShiftNorm: Bool
    /// Resolution changes within residual blocks.
    public var resamplesInResiduals: Bool
    /// Where it does not: by 3×3 convolutions, otherwise by means and repetition.
    public var resamplesByConvolution: Bool
    /// Real classes; 0 for a network without labels.
    public var classes: Int
    /// The label table has a null class in its last row, which the reference has not: with label
    /// dropout in training the network can then be guided.
    public var hasNullClass: Bool
    /// Times are multiplied by this before the sinusoidal features.
    public var timeScale: Float

    public init(
      resolution: Int, inChannels: Int = 4, outChannels: Int = 4, width: Int,
      multiples: [Double], residuals: Int, attentionFactors: [Int], heads: Int = 1,
      decoderHeads: Int? = nil, headChannels: Int? = nil, order: ProjectionOrder = .headsFirst,
      usesScaleShiftNorm: Bool = false, resamplesInResiduals: Bool = false,
      resamplesByConvolution: Bool = true, classes: Int = 0, hasNullClass: Bool = false,
      timeScale: Float = 1
    ) {
      (self.resolution, self.inChannels) = (resolution, inChannels)
      (self.outChannels, self.width) = (outChannels, width)
      (self.multiples, self.residuals) = (multiples, residuals)
      (self.attentionFactors, self.heads) = (attentionFactors, heads)
      (self.decoderHeads, self.headChannels) = (decoderHeads, headChannels)
      (self.order, self.usesScaleShiftNorm) = (order, usesScaleShiftNorm)
      self.resamplesInResiduals = resamplesInResiduals
      self.resamplesByConvolution = resamplesByConvolution
      (self.classes, self.hasNullClass) = (classes, hasNullClass)
      self.timeScale = timeScale
    }

    public var latentShape: [Int] { [resolution, resolution, outChannels] }
    public var nullLabel: Int? { classes > 0 && hasNullClass ? classes : nil }
    /// Rows of the label table.
    public var labelRows: Int { classes + (nullLabel == nil ? 0 : 1) }
    public var contextChannels: Int { inChannels - outChannels }
    public var withoutContext: Configuration {
      var c = self
      c.inChannels = outChannels
      return c
    }
    /// Input pixels per pixel of the lowest resolution, along each axis.
    public var downsamplingFactor: Int { 1 << (multiples.count - 1) }

    public var flopsPerSample: Double {
      2 * ADMPlan(self).multiplyAdds(self) { ADMAttention.multiplyAdds($0, tokens: $1) }
    }

    var embeddingWidth: Int { 4 * width }
    func channels(level: Int) -> Int { Int(multiples[level] * Double(width)) }
    func attends(_ factor: Int) -> Bool { attentionFactors.contains(factor) }
    func heads(of channels: Int, decoder: Bool) -> Int {
      headChannels.map { channels / $0 } ?? (decoder ? decoderHeads ?? heads : heads)
    }
  }

  public let configuration: Configuration
  let embedding: ADMEmbedding
  let trunk: ADMTrunk<ADMAttention>

  public init(_ c: Configuration, _ scope: Scope) {
    configuration = c
    embedding = ADMEmbedding(c, scope)
    trunk = ADMTrunk(c, ADMPlan(c), scope) {
      ADMAttention($0, heads: $1, order: c.order, $2)
    }
  }

  /// The velocity at (x, t).
  ///
  /// - Parameters:
  ///   - x: the state, [B, H, W, out]; or state and context side by side, [B, H, W, in], if
  ///     `condition` has none; H and W multiples of the down-sampling factor
  ///   - t: [B], or one time for all
  ///   - condition: B labels for a network with classes (nil for the null class, if it has one);
  ///     its context, [B, H, W, in − out], is concatenated to the state
  /// - Returns: [B, H, W, out]
  public func callAsFunction(_ x: Tensor, t: Tensor, condition: Condition) -> Tensor {
    let c = configuration
    let input = condition.context.map { concatenate(x, $0) } ?? x  // [B, H, W, in]
    c.check(input)
    return trunk(input, time: embedding(t, condition.labels, riding: input))
  }
}

extension ADMUNet.Configuration {
  /// Wrong extents are wrong use.
  func check(_ x: Tensor) {
    let f = downsamplingFactor
    precondition(
      x.shape.rank == 4 && x.shape[3] == inChannels && x.shape[1] % f == 0 && x.shape[2] % f == 0,
      "U-Net: input \(x.shape), expected [B, H, W, \(inChannels)] with H and W multiples of \(f)")
  }

  /// What keeps a network of this configuration from being built; nil if nothing does.
  public var flaw: String? {
    let positive = [resolution, inChannels, outChannels, width, residuals, heads]
    if positive.contains(where: { $0 < 1 }) { return "an extent below 1" }
    if width > 1 << 16 { return "a width of \(width)" }
    if multiples.isEmpty || multiples.count > 16 { return "\(multiples.count) levels" }
    if let m = multiples.first(where: { !(0...64).contains($0) }) { return "a multiple of \(m)" }
    if let d = headChannels, d < 1 { return "heads of \(d) channels" }
    if classes < 0 { return "\(classes) classes" }
    if contextChannels < 0 { return "\(inChannels) input channels, \(outChannels) of the state" }
    if resolution % downsamplingFactor != 0 {
      return "resolution \(resolution) with \(multiples.count) levels"
    }
    let plan = ADMPlan(self)
    for step in plan.input + [plan.middle] + plan.output {
      for channels in [step.inputs, step.outputs] where channels < 1 || channels % 32 != 0 {
        return "a width of \(channels), not a multiple of the 32 groups"
      }
      if let heads = step.heads, heads < 1 || step.outputs % heads != 0 {
        return "\(heads) heads at a width of \(step.outputs)"
      }
      if let d = headChannels, step.heads != nil, step.outputs % d != 0 {
        return "heads of \(d) channels at a width of \(step.outputs)"
      }
    }
    return nil
  }
}

/// Time and label as one vector: sinusoidal features through two linear maps, plus a row of the
/// label table, with the SiLU in front of every block's own map.
struct ADMEmbedding {
  let width: Int
  let timeScale: Float
  let first: Linear
  let second: Linear
  let labelTable: Parameter?
  let nullLabel: Int?

  init(_ c: ADMUNet.Configuration, _ scope: Scope) {
    (width, timeScale, nullLabel) = (c.width, c.timeScale, c.nullLabel)
    first = torchLinear(c.width, c.embeddingWidth, scope("time_embed")("0"))
    second = torchLinear(c.embeddingWidth, c.embeddingWidth, scope("time_embed")("2"))
    labelTable = c.classes == 0
      ? nil
      : scope("label_emb").parameter(
        "weight", [c.labelRows, c.embeddingWidth], .normal(std: 1))
  }

  /// [B] or one time for all, and B labels → [B, 4·width]
  func callAsFunction(_ t: Tensor, _ labels: [Int]?, riding x: Tensor) -> Tensor {
    let b = x.shape[0]
    let times = t.count == 1 && b > 1 ? Tensor([b], fill: t.base[0]) : t
    precondition(times.count == b, "U-Net: \(t.count) times for \(b) samples")
    let features = timeFeatures(timeScale * times, width: width)  // [B, width]
    let time = second(first(features.riding(with: x), activation: .silu))
    guard let labelTable else { return silu(time) }
    let rows = labels ?? nullLabel.map { Array(repeating: $0, count: b) } ?? []
    precondition(rows.count == b, "U-Net with classes: \(rows.count) labels for \(b) samples")
    return silu(time + embedding(labelTable.tensor, rows, riding: x))
  }
}
