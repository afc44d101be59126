import CDNNL
import CKernels

/// Zeros around an image, in pixels.
public struct Padding: Hashable, Sendable, CustomStringConvertible {
  public var top: Int
  public var left: Int
  public var bottom: Int
  public var right: Int

  public init(top: Int, left: Int, bottom: Int, right: Int) {
    (self.top, self.left, self.bottom, self.right) = (top, left, bottom, right)
  }

  /// The same on all sides.
  public init(_ pixels: Int) {
    self.init(top: pixels, left: pixels, bottom: pixels, right: pixels)
  }

  public static let none = Padding(0)

  public var description: String { "padding (\(top), \(left), \(bottom), \(right))" }
}

/// 2-D cross-correlation, channels last.
///
/// Computed by oneDNN in both directions, on channels-last activations or, where
/// `ActivationBlocking` suits, on blocks of channels; a 1×1 kernel of stride 1 is a matrix product.
/// Equal shapes and threads give equal bits.
///
/// - Parameters:
///   - x: [B, H, W, Cin]
///   - weight: [Cout, Cin, kh, kw], as PyTorch stores it
///   - bias: [Cout]
/// - Returns: [B, H', W', Cout], H' = (H + top + bottom − kh) / stride + 1.
public func convolution(
  _ x: Tensor, weight: Tensor, bias: Tensor?, stride: Int = 1, padding: Padding = .none
) -> Tensor {
  let g = ConvolutionGeometry(of: x, weight, bias, stride, padding)
  if g.isPointwise { return linear(x, weight: weight, bias: bias) }
  let y = Tensor(uninitialized: [g.batch, g.outHeight, g.outWidth, g.outChannels])
  Kernel.convolution(g, x.base, weight.base, bias?.base, into: y.base)

  guard let tape = x.tape else { return y }
  let (xs, xOffset, dx) = (x.storage, x.offset, x.gradient)
  let (ws, wOffset, dw, db) = (weight.storage, weight.offset, weight.gradient, bias?.gradient)
  return tape.record(y, leaves: [dw, db]) { dy in
    // oneDNN sums the bias's gradient on the way to the weights'.
    let own = db != nil && dw != nil ? Storage(count: g.outChannels) : nil
    dw?.add { d, beta in
      Kernel.convolutionWeightPullback(
        g, xs.base + xOffset, dy.base, into: d, beta: beta, bias: own?.base)
    }
    db?.add { d, beta in
      if let own {
        Kernel.accumulate(own.base, into: d, beta: beta, count: g.outChannels)
      } else {
        let rows = g.batch * g.outHeight * g.outWidth
        Kernel.columnSums(dy.base, rows: rows, columns: g.outChannels, into: d, beta: beta)
      }
    }
    dx?.add { d, beta in
      Kernel.convolutionPullback(g, dy.base, ws.base + wOffset, into: d, beta: beta)
    }
  }
}

extension ConvolutionGeometry {
  /// - Parameters: as those of `convolution`.
  init(of x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ stride: Int, _ padding: Padding) {
    precondition(
      x.shape.rank == 4 && weight.shape.rank == 4 && x.shape[3] == weight.shape[1],
      "convolution of [B, H, W, Cin] \(x.shape) by [Cout, Cin, kh, kw] \(weight.shape)")
    precondition(
      bias == nil || bias!.shape == [weight.shape[0]],
      "bias \(bias!.shape) of a convolution by \(weight.shape)")
    self.init(
      batch: x.shape[0], height: x.shape[1], width: x.shape[2], inChannels: x.shape[3],
      outChannels: weight.shape[0], kernelHeight: weight.shape[2], kernelWidth: weight.shape[3],
      stride: stride, padding: padding)
    precondition(
      height + padding.top + padding.bottom >= kernelHeight
        && width + padding.left + padding.right >= kernelWidth,
      "the kernel exceeds the image: \(self)")
  }
}

extension Kernel {
  /// y = x ⋆ w + b.
  static func convolution(
    _ g: ConvolutionGeometry, _ x: UnsafeMutablePointer<Float>, _ w: UnsafeMutablePointer<Float>,
    _ bias: UnsafeMutablePointer<Float>?, into y: UnsafeMutablePointer<Float>, beta: Float = 0
  ) {
    let plan = ConvolutionPlan.cached(g, .forward(bias: bias != nil, adding: beta != 0))
    plan.forward(x, plan.packed(w), bias, into: y)
  }

  /// dx = beta·dx + dy ⋆ wᵀ.
  ///
  /// At stride 1 this is a convolution by the turned weights: it runs at the speed of the forward
  /// pass, where oneDNN's own backward pass on channels-last data reaches two thirds of it.
  static func convolutionPullback(
    _ g: ConvolutionGeometry, _ dy: UnsafeMutablePointer<Float>,
    _ w: UnsafeMutablePointer<Float>, into dx: UnsafeMutablePointer<Float>, beta: Float
  ) {
    if let transposed = g.transposed {
      let turned = turned(w, g)
      convolution(transposed, dy, turned.base, nil, into: dx, beta: beta)
      withExtendedLifetime(turned) {}
      return
    }
    let plan = ConvolutionPlan.cached(g, .backwardData)
    let weights = plan.packed(w)
    let count = g.batch * g.height * g.width * g.inChannels
    let own = beta == 0 ? nil : Storage(count: count)
    plan.primitive([
      (DNNL_ARG_DIFF_DST, plan.output, dy), (DNNL_ARG_WEIGHTS, plan.packedWeights, weights.base),
      (DNNL_ARG_DIFF_SRC, plan.input, own?.base ?? dx),
    ])
    if let own { accumulate(own.base, into: dx, beta: 1, count: count) }
    withExtendedLifetime(weights) {}
  }

  /// dw = beta·dw + x ⋆ dy; `bias`, if any, is overwritten with Σ dy over batch and pixels.
  static func convolutionWeightPullback(
    _ g: ConvolutionGeometry, _ x: UnsafeMutablePointer<Float>, _ dy: UnsafeMutablePointer<Float>,
    into dw: UnsafeMutablePointer<Float>, beta: Float, bias: UnsafeMutablePointer<Float>?
  ) {
    let plan = ConvolutionPlan.cached(g, .backwardWeights(bias: bias != nil))
    let weights = Storage(count: plan.packedWeights.count)
    var arguments: [OneDNNPrimitive.Argument] = [
      (DNNL_ARG_SRC, plan.input, x), (DNNL_ARG_DIFF_DST, plan.output, dy),
      (DNNL_ARG_DIFF_WEIGHTS, plan.packedWeights, weights.base),
    ]
    if let bias { arguments.append((DNNL_ARG_DIFF_BIAS, plan.bias, bias)) }
    plan.primitive(arguments)
    plan.unpack(weights, into: dw, beta: beta)
  }

  /// [out, in, kh, kw] → [in, out, kh, kw] turned by 180°.
  private static func turned(
    _ w: UnsafeMutablePointer<Float>, _ g: ConvolutionGeometry
  ) -> Storage {
    let taps = g.kernelHeight * g.kernelWidth
    let result = Storage(count: g.outChannels * g.inChannels * taps)
    parallelFor(g.inChannels, grain: max(1, 16_384 / (g.outChannels * taps))) { r in
      lf_turn_weights(w, result.base, g.outChannels, g.inChannels, taps, r.lowerBound, r.upperBound)
    }
    return result
  }
}
