import FlowCore
import FlowNN
import FlowTensor

/// The U-Net of coupling flow matching.
/// Schusterbauer et al. 2024, «Boosting Latent Diffusion with Flow Matching», arXiv 2312.07360,
/// section 4; after Ho et al. 2020, arXiv 2006.11239, and Dhariwal & Nichol 2021, arXiv 2105.05233.
///
/// Parameters carry the names of FMBoost's state dictionary. As there, the time in [0, 1] goes into
/// the sinusoidal features as it is, and attention scrambles tokens with channels (see
/// `EfficientUNetAttention`).
public struct EfficientUNet: VelocityNetwork {
  public struct Configuration: NetworkConfiguration {
    /// Extent of the square latents of a run. The network itself takes any H and W that are
    /// multiples of `downsamplingFactor`.
    public var resolution: Int
    /// Channels of the state and of the context behind it.
    public var inChannels: Int
    /// Channels of the state.
    public var outChannels: Int
    /// Width of the first level.
    public var width: Int
    /// Widths of the levels in units of `width`, highest resolution first; the first is 1.
    public var multipliers: [Int]
    /// Residual blocks per level on the way down; one more on the way up.
    public var residualsPerLevel: Int
    /// Down-sampling factors (1, 2, 4 …) at which blocks attend.
    public var attentionFactors: Set<Int>
    /// Heads of every attention, and the width of each: their product need not be the level's.
    public var heads: Int
    public var headWidth: Int
    /// Linear attention on the way down and up; the middle block's is always that of softmax.
    public var linearAttention: Bool
    /// The time scales and shifts the second norm of a block; otherwise it is added before it.
    public var scalesAndShifts: Bool
    /// Convolutions change the resolution; otherwise means and repetition do.
    public var resamplesByConvolution: Bool
    /// Side of the patches that a strided convolution makes pixels of before the first level, and a
    /// transposed one patches again behind the last; 1 for none.
    public var poolFactor: Int
    /// Channels of a context that every attending block attends to, too; 0 for none.
    public var crossContextChannels: Int

    /// The defaults are the reference's.
    public init(
      resolution: Int, inChannels: Int, outChannels: Int, width: Int,
      multipliers: [Int] = [1, 2, 3, 4], residualsPerLevel: Int, attentionFactors: Set<Int>,
      heads: Int = 4, headWidth: Int = 64, linearAttention: Bool = true,
      scalesAndShifts: Bool = true, resamplesByConvolution: Bool = true, poolFactor: Int = 1,
      crossContextChannels: Int = 0
    ) {
      (self.resolution, self.inChannels, self.outChannels) = (resolution, inChannels, outChannels)
      (self.width, self.multipliers) = (width, multipliers)
      (self.residualsPerLevel, self.attentionFactors) = (residualsPerLevel, attentionFactors)
      (self.heads, self.headWidth) = (heads, headWidth)
      (self.linearAttention, self.scalesAndShifts) = (linearAttention, scalesAndShifts)
      (self.resamplesByConvolution, self.poolFactor) = (resamplesByConvolution, poolFactor)
      self.crossContextChannels = crossContextChannels
    }

    public var latentShape: [Int] { [resolution, resolution, outChannels] }
    public var classes: Int { 0 }
    public var nullLabel: Int? { nil }
    public var contextChannels: Int { inChannels - outChannels }
    public var withoutContext: Configuration {
      var c = self
      c.inChannels = outChannels
      return c
    }
    /// H and W must be multiples of this.
    public var downsamplingFactor: Int { poolFactor << (multipliers.count - 1) }

    /// What keeps a network of this configuration from being built; nil if nothing does.
    public var flaw: String? {
      let groups = EfficientUNetResidual.groups
      if multipliers.first != 1 {
        return "multipliers \(multipliers): the last convolution needs the first to be 1"
      }
      if width <= 0 || width % groups != 0 || multipliers.contains(where: { $0 < 1 }) {
        return "widths of \(width) times \(multipliers), not multiples of the \(groups) groups"
      }
      if outChannels < 1 || inChannels < outChannels {
        return "\(inChannels) channels in, \(outChannels) out: the state comes first"
      }
      if residualsPerLevel < 1 || heads < 1 || headWidth < 1 || crossContextChannels < 0 {
        return "\(residualsPerLevel) residual blocks, \(heads) heads of \(headWidth), "
          + "\(crossContextChannels) channels to attend to"
      }
      if ![1, 2, 4, 8].contains(poolFactor) { return "a pool factor of \(poolFactor)" }
      return resolution > 0 && resolution % downsamplingFactor == 0
        ? nil : "latents of \(resolution) pixels, no multiple of \(downsamplingFactor)"
    }

    var embeddingWidth: Int { 4 * width }
    /// Width of all heads together.
    var attentionWidth: Int { heads * headWidth }
  }

  public let configuration: Configuration
  let timeEmbedding: EfficientUNetTime
  let pool: Convolution?
  let inputBlocks: [EfficientUNetStage]
  let middle: EfficientUNetMiddle
  let outputBlocks: [EfficientUNetStage]
  let norm: GroupNorm
  let head: Convolution
  let unpool: TransposedConvolution?

  public init(_ c: Configuration, _ scope: Scope) {
    precondition(c.flaw == nil, "EfficientUNet: \(c.flaw ?? "")")
    configuration = c
    let pools = c.poolFactor > 1
    timeEmbedding = EfficientUNetTime(c, scope("time_embed"))
    pool = pools
      ? Convolution(
        c.inChannels, c.width, kernel: c.poolFactor, stride: c.poolFactor, padding: Padding.none,
        scope("pool")("down_conv")) : nil
    let plan = EfficientUNetPlan(c)
    inputBlocks = plan.input.enumerated().map {
      EfficientUNetStage($1, c, scope("input_blocks")("\($0)"))
    }
    middle = EfficientUNetMiddle(plan.lowestWidth, c, scope("middle_block"))
    outputBlocks = plan.output.enumerated().map {
      EfficientUNetStage($1, c, scope("output_blocks")("\($0)"))
    }
    norm = EfficientUNetResidual.norm(c.width, scope("out")("0"))
    head = Convolution(
      c.width, pools ? c.width : c.outChannels, kernel: 3, weights: pools ? nil : .zeros,
      biases: pools ? nil : .zeros, scope("out")("2"))
    unpool = pools
      ? TransposedConvolution(
        c.width, c.outChannels, side: c.poolFactor, scope("un_pool")("up_conv")) : nil
  }

  /// The velocity at (x, t).
  ///
  /// - Parameters:
  ///   - x: the state, [B, H, W, C]; or state and context side by side, if `condition` has none
  ///   - t: [B], or one time for all
  ///   - condition: its context, [B, H, W, Cc], is concatenated to the state; its cross-context,
  ///     [B, h, w, Cx] of any extent, is attended to
  /// - Returns: [B, H, W, C]
  public func callAsFunction(_ x: Tensor, t: Tensor, condition: Condition) -> Tensor {
    let input = condition.context.map { concatenate(x, $0) } ?? x  // [B, H, W, in]
    check(input, x)
    check(condition.crossContext, samples: x.shape[0])
    let b = x.shape[0]
    let times = t.count == 1 && b > 1 ? Tensor([b], fill: t.base[0]) : t
    precondition(times.count == b, "EfficientUNet: \(t.count) times for \(b) samples")

    let time = timeEmbedding(times, riding: input)  // [B, 4·width]
    let cross = condition.crossContext
    var h = pool?(input) ?? input
    var skips: [Tensor] = []
    for block in inputBlocks {
      h = block(h, time, cross)
      skips.append(h)
    }
    h = middle(h, time, cross)
    for block in outputBlocks {
      h = block(concatenate(h, skips.removeLast()), time, cross)
    }
    h = head(norm(h, activation: .silu))
    return unpool?(h) ?? h
  }

  private func check(_ input: Tensor, _ x: Tensor) {
    let c = configuration
    let f = c.downsamplingFactor
    precondition(
      input.shape.rank == 4 && input.shape[3] == c.inChannels && input.shape[1] % f == 0
        && input.shape[2] % f == 0,
      "EfficientUNet: state \(x.shape), with its context \(input.shape), expected "
        + "[B, H, W, \(c.inChannels)] with H and W multiples of \(f)")
  }

  private func check(_ crossContext: Tensor?, samples b: Int) {
    let channels = configuration.crossContextChannels
    guard let shape = crossContext?.shape else {
      precondition(channels == 0, "EfficientUNet: no cross-context of \(channels) channels")
      return
    }
    precondition(
      channels > 0 && shape.rank == 4 && shape[0] == b && shape[3] == channels,
      "EfficientUNet: cross-context \(shape), expected [\(b), h, w, \(channels)]")
  }
}
