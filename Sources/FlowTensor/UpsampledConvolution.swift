import CKernels

/// A 3×3 convolution (padding 1) of the image that nearest-neighbour up-sampling by two gives, of
/// which nothing is stored.
///
/// Output pixels of one parity see each low-resolution pixel through sums of weights, so the whole
/// is a transposed convolution of stride 2 with a 4×4 kernel: 4/9 of the multiplications.
///
/// - Parameters:
///   - x: [B, H, W, Cin]
///   - weight: [Cout, Cin, 3, 3]
///   - bias: [Cout]
/// - Returns: [B, 2·H, 2·W, Cout]
public func upsampledConvolution(_ x: Tensor, weight: Tensor, bias: Tensor?) -> Tensor {
  precondition(
    x.shape.rank == 4 && weight.shape.dims == [weight.shape[0], x.shape[3], 3, 3]
      && (bias == nil || bias!.count == weight.shape[0]),
    "upsampledConvolution of \(x.shape) by \(weight.shape)")
  let (cin, cout) = (x.shape[3], weight.shape[0])
  // The convolution of which this is the transpose: [B, 2·H, 2·W, Cout] → [B, H, W, Cin].
  let g = ConvolutionGeometry(
    batch: x.shape[0], height: 2 * x.shape[1], width: 2 * x.shape[2], inChannels: cout,
    outChannels: cin, kernelHeight: 4, kernelWidth: 4, stride: 2, padding: Padding(1))
  let rows = g.batch * g.height * g.width
  let y = Tensor(uninitialized: [g.batch, g.height, g.width, cout])
  let kernel = folded(weight.base, inputs: cin, outputs: cout)
  withExtendedLifetime(kernel) {
    Kernel.convolutionPullback(g, x.base, kernel.base, into: y.base, beta: 0)
  }
  if let bias {
    Kernel.biasActivation(.none, y.base, bias.base, y.base, rows: rows, columns: cout)
  }

  guard let tape = x.tape else { return y }
  let (xs, xOffset, dx) = (x.storage, x.offset, x.gradient)
  let (ws, wOffset, dw, db) = (weight.storage, weight.offset, weight.gradient, bias?.gradient)
  return tape.record(y, leaves: [dw, db]) { dy in
    db?.add { d, beta in
      Kernel.columnSums(dy.base, rows: rows, columns: cout, into: d, beta: beta)
    }
    dw?.add { d, beta in
      let gradient = Storage(count: cin * cout * 16)
      Kernel.convolutionWeightPullback(
        g, dy.base, xs.base + xOffset, into: gradient.base, beta: 0, bias: nil)
      withExtendedLifetime(gradient) {
        parallelFor(cout, grain: max(1, 4096 / cin)) { r in
          lf_unfold_upsampling(gradient.base, d, beta, cout, cin, r.lowerBound, r.upperBound)
        }
      }
    }
    dx?.add { d, beta in
      let kernel = folded(ws.base + wOffset, inputs: cin, outputs: cout)
      withExtendedLifetime(kernel) {
        Kernel.convolution(g, dy.base, kernel.base, nil, into: d, beta: beta)
      }
    }
  }
}

/// [out, in, 3, 3] → [in, out, 4, 4].
private func folded(_ w: UnsafePointer<Float>, inputs: Int, outputs: Int) -> Storage {
  let result = Storage(count: inputs * outputs * 16)
  parallelFor(inputs, grain: max(1, 4096 / outputs)) { r in
    lf_fold_upsampling(w, result.base, outputs, inputs, r.lowerBound, r.upperBound)
  }
  return result
}
