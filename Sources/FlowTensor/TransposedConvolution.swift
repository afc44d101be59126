/// The transpose of a convolution whose stride is its kernel: every pixel becomes a square.
///
///     y[s·i + u, s·j + v, o] = Σ_c x[i, j, c]·w[c, o, u, v] + b[o]
///
/// - Parameters:
///   - x: [B, H, W, Cin]
///   - weight: [Cin, Cout, s, s], as PyTorch stores it
///   - bias: [Cout]
/// - Returns: [B, s·H, s·W, Cout]
public func transposedConvolution(_ x: Tensor, weight: Tensor, bias: Tensor?) -> Tensor {
  precondition(
    x.shape.rank == 4 && weight.shape.rank == 4 && x.shape[3] == weight.shape[0]
      && weight.shape[2] == weight.shape[3] && (bias == nil || bias!.shape == [weight.shape[1]]),
    "transposedConvolution of [B, H, W, Cin] \(x.shape) by [Cin, Cout, s, s] \(weight.shape)")
  let side = weight.shape[2]
  // The convolution of which this is the transpose: [B, s·H, s·W, Cout] → [B, H, W, Cin].
  let g = ConvolutionGeometry(
    batch: x.shape[0], height: side * x.shape[1], width: side * x.shape[2],
    inChannels: weight.shape[1], outChannels: weight.shape[0], kernelHeight: side,
    kernelWidth: side, stride: side, padding: .none)
  let (rows, outputs) = (g.batch * g.height * g.width, g.inChannels)
  let y = Tensor(uninitialized: [g.batch, g.height, g.width, outputs])
  Kernel.convolutionPullback(g, x.base, weight.base, into: y.base, beta: 0)
  if let bias {
    Kernel.biasActivation(.none, y.base, bias.base, y.base, rows: rows, columns: outputs)
  }

  guard let tape = x.tape else { return y }
  let (xs, xOffset, dx) = (x.storage, x.offset, x.gradient)
  let (ws, wOffset, dw, db) = (weight.storage, weight.offset, weight.gradient, bias?.gradient)
  return tape.record(y, leaves: [dw, db]) { dy in
    db?.add { d, beta in
      Kernel.columnSums(dy.base, rows: rows, columns: outputs, into: d, beta: beta)
    }
    dw?.add { d, beta in
      Kernel.convolutionWeightPullback(
        g, dy.base, xs.base + xOffset, into: d, beta: beta, bias: nil)
    }
    dx?.add { d, beta in
      Kernel.convolution(g, dy.base, ws.base + wOffset, nil, into: d, beta: beta)
    }
  }
}
