import CDNNL

/// A convolution whose weights no longer change, for networks that are only evaluated: weights are
/// put into oneDNN's layout once, bias and ReLU are part of the product. Never recorded on a tape.
public final class FrozenConvolution {
  /// [Cout, Cin, kh, kw]
  private let weight: Tensor
  /// [Cout]
  private let bias: Tensor
  private let stride: Int
  private let padding: Padding
  private let rectified: Bool
  /// The weights in the layouts that the extents met so far ask for: mostly one.
  private var packed: [(layout: OneDNNLayout, weights: Storage)] = []

  /// - Parameters:
  ///   - weight: [Cout, Cin, kh, kw], as PyTorch stores it
  ///   - bias: [Cout]; zeros if nil
  ///   - rectified: max(0, ·) of the result
  public init(
    weight: Tensor, bias: Tensor?, stride: Int = 1, padding: Padding = .none, rectified: Bool
  ) {
    precondition(
      weight.shape.rank == 4 && (bias == nil || bias!.shape == [weight.shape[0]]),
      "a convolution by \(weight.shape) with bias \(bias.map { "\($0.shape)" } ?? "none")")
    self.weight = weight.detached
    self.bias = bias?.detached ?? Tensor([weight.shape[0]], fill: 0)
    (self.stride, self.padding, self.rectified) = (stride, padding, rectified)
  }

  /// - Parameter x: [B, H, W, Cin]
  /// - Returns: [B, H', W', Cout]
  public func callAsFunction(_ x: Tensor) -> Tensor {
    precondition(x.tape == nil, "a frozen convolution is not recorded")
    let g = ConvolutionGeometry(of: x, weight, bias, stride, padding)
    let plan = ConvolutionPlan.cached(g, .inference(rectified: rectified))
    let weights = packedWeights(for: plan)
    let y = Tensor(uninitialized: [g.batch, g.outHeight, g.outWidth, g.outChannels])
    plan.primitive([
      (DNNL_ARG_SRC, plan.input, x.base), (DNNL_ARG_WEIGHTS, plan.packedWeights, weights.base),
      (DNNL_ARG_BIAS, plan.bias, bias.base), (DNNL_ARG_DST, plan.output, y.base),
    ])
    withExtendedLifetime((x, weights)) {}
    return y
  }

  private func packedWeights(for plan: ConvolutionPlan) -> Storage {
    if let known = packed.first(where: { $0.layout == plan.packedWeights }) { return known.weights }
    let weights = plan.packed(weight.base)
    packed.append((plan.packedWeights, weights))
    return weights
  }
}
