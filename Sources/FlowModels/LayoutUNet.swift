import FlowCore
import FlowNN
import FlowTensor

/// The U-Net of guided diffusion with spatial transformers in place of its attention: every pixel
/// looks at the tokens of a context, such as the boxes of a layout.
/// Dhariwal & Nichol 2021, arXiv 2105.05233; Rombach et al. 2022, arXiv 2112.10752, section 3.3.
public struct LayoutUNet: VelocityNetwork {
  public struct Configuration: NetworkConfiguration {
    /// The trunk; its `decoderHeads` and `order` mean nothing here.
    public var trunk: ADMUNet.Configuration
    /// Blocks of one spatial transformer.
    public var transformerDepth: Int
    /// Width of the context's tokens.
    public var contextWidth: Int
    /// Tokens of a context for which `flopsPerSample` is stated; the network takes any number.
    public var contextTokens: Int

    public init(
      trunk: ADMUNet.Configuration, transformerDepth: Int = 1, contextWidth: Int,
      contextTokens: Int = 1
    ) {
      self.trunk = trunk
      (self.transformerDepth, self.contextWidth) = (transformerDepth, contextWidth)
      self.contextTokens = contextTokens
    }

    public var latentShape: [Int] { trunk.latentShape }
    public var contextChannels: Int { trunk.contextChannels }
    public var withoutContext: Configuration {
      var c = self
      c.trunk = trunk.withoutContext
      return c
    }
    public var classes: Int { trunk.classes }
    public var nullLabel: Int? { trunk.nullLabel }

    public var flopsPerSample: Double {
      2 * plan.multiplyAdds(trunk) {
        SpatialTransformer.multiplyAdds(
          $0, tokens: $1, depth: transformerDepth, contextWidth: contextWidth,
          contextTokens: contextTokens)
      }
    }

    /// Encoder and decoder have the same heads.
    private var evenTrunk: ADMUNet.Configuration {
      var c = trunk
      c.decoderHeads = nil
      return c
    }

    /// The first convolution has the width itself, whatever the first level's multiple.
    var plan: ADMPlan { ADMPlan(evenTrunk, stem: trunk.width) }

    /// What keeps a network of this configuration from being built; nil if nothing does.
    public var flaw: String? {
      if transformerDepth < 1 { return "transformers of \(transformerDepth) blocks" }
      if contextWidth < 1 { return "a context of width \(contextWidth)" }
      return trunk.width % 32 == 0
        ? evenTrunk.flaw : "a width of \(trunk.width), not a multiple of the 32 groups"
    }
  }

  public let configuration: Configuration
  let embedding: ADMEmbedding
  let trunk: ADMTrunk<SpatialTransformer>

  public init(_ c: Configuration, _ scope: Scope) {
    configuration = c
    embedding = ADMEmbedding(c.trunk, scope)
    trunk = ADMTrunk(c.trunk, c.plan, scope) {
      SpatialTransformer(
        $0, heads: $1, depth: c.transformerDepth, contextWidth: c.contextWidth, $2)
    }
  }

  /// The velocity at (x, t).
  ///
  /// - Parameters:
  ///   - x: [B, H, W, in], H and W multiples of the down-sampling factor
  ///   - t: [B], or one time for all
  ///   - condition: the context is tokens, [B, S, contextWidth]; labels as for `ADMUNet`
  /// - Returns: [B, H, W, out]
  public func callAsFunction(_ x: Tensor, t: Tensor, condition: Condition) -> Tensor {
    let c = configuration
    c.trunk.check(x)
    guard let context = condition.context else {
      preconditionFailure("LayoutUNet: no context for a state \(x.shape)")
    }
    precondition(
      context.shape.rank == 3 && context.shape[0] == x.shape[0]
        && context.shape[2] == c.contextWidth,
      "LayoutUNet: context \(context.shape), expected [\(x.shape[0]), S, \(c.contextWidth)]")
    let time = embedding(t, condition.labels, riding: x)
    return trunk(x, time: time, context: context.riding(with: x))
  }
}
