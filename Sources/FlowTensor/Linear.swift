import CKernels

/// What follows a linear map, fused with its bias.
public enum Activation: Sendable {
  case none
  /// x·σ(x).  Hendrycks & Gimpel 2016, arXiv 1606.08415.
  case silu
  /// GELU in its tanh form (same paper, section 2).
  case geluTanh
}

/// y = f(x·Wᵀ + b).
///
/// - Parameters:
///   - x: […, in]
///   - weight: [out, in]; a convolution weight [out, in, 1, 1] or a patch weight [out, C, p, p] is
///     read as [out, everything else].
///   - bias: [out]
/// - Returns: […, out]
public func linear(
  _ x: Tensor, weight: Tensor, bias: Tensor?, activation: Activation = .none
) -> Tensor {
  let n = weight.shape[0]
  let k = weight.count / max(1, n)
  let m = x.shape.rows
  precondition(
    x.shape[-1] == k, "linear: input \(x.shape) does not fit a weight of shape \(weight.shape)")
  precondition(bias == nil || bias!.count == n, "linear: bias \(bias!.shape) for \(n) outputs")
  let y = Tensor(uninitialized: Shape(x.shape.dims.dropLast() + [n]))
  let tape = x.tape
  // The pre-activation is kept for the pullback only.
  let needsPre = activation != .none
  let pre = needsPre && tape != nil ? Storage(count: m * n) : y.storage
  LinearKernel.forward(
    x.base, weight.base, bias?.base, pre: pre.base, y: y.base, activation, m: m, n: n, k: k)
  guard let tape else { return y }

  let (xs, xo, dxs) = (x.storage, x.offset, x.gradient)
  let (ws, wo, dws) = (weight.storage, weight.offset, weight.gradient)
  let dbs = bias?.gradient
  return tape.record(y, leaves: [dws, dbs]) { dy in
    let d = dy.base  // dy becomes the gradient of the pre-activation in place
    Kernel.activationPullback(activation, pre.base, d, d, beta: 0, count: m * n)
    dbs?.add { db, beta in Kernel.columnSums(d, rows: m, columns: n, into: db, beta: beta) }
    dws?.add { dw, beta in  // dW += dyᵀ·x
      LinearKernel.weightPullback(d, xs.base + xo, into: dw, beta: beta, m: m, n: n, k: k)
    }
    dxs?.add { dx, beta in  // dx += dy·W
      LinearKernel.inputPullback(d, ws.base + wo, into: dx, beta: beta, m: m, n: n, k: k)
    }
  }
}

enum LinearKernel {
  /// Rows per block: a block of outputs is still in cache when bias and activation pass over it.
  /// A function of the shape and the number of threads alone.
  private static func blockRows(m: Int, n: Int) -> Int {
    let cacheRows = max(64, min(512, 196_608 / max(1, n) / 16 * 16))
    let threads = Threads.count
    if threads == 1 { return cacheRows }
    let share = (m + threads - 1) / threads
    return min(cacheRows, max(8, (share + 7) / 8 * 8))
  }

  static func forward(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>, _ bias: UnsafePointer<Float>?,
    pre: UnsafeMutablePointer<Float>, y: UnsafeMutablePointer<Float>, _ activation: Activation,
    m: Int, n: Int, k: Int
  ) {
    let block = blockRows(m: m, n: n)
    let blocks = (m + block - 1) / block
    if blocks == 1 && Threads.count > 1 {
      Gemm.multiply(.normal, .transposed, m: m, n: n, k: k, x, k, w, k, beta: 0, pre, n)
      Kernel.biasActivation(activation, pre, bias, y, rows: m, columns: n)
      return
    }
    parallelFor(blocks, grain: 1) { range in
      for index in range {
        let first = index * block
        let rows = min(block, m - first)
        Gemm.multiply(
          .normal, .transposed, m: rows, n: n, k: k, x + first * k, k, w, k, beta: 0,
          pre + first * n, n)
        Kernel.biasActivation(
          activation, pre + first * n, bias, y + first * n, rows: rows, columns: n)
      }
    }
  }

  static func inputPullback(
    _ dy: UnsafePointer<Float>, _ w: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    beta: Float, m: Int, n: Int, k: Int
  ) {
    Gemm.multiply(.normal, .normal, m: m, n: k, k: n, dy, n, w, k, beta: beta, dx, k)
  }

  static func weightPullback(
    _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>, into dw: UnsafeMutablePointer<Float>,
    beta: Float, m: Int, n: Int, k: Int
  ) {
    // Threads split the outputs, never the sum over rows.
    parallelFor(n, grain: max(8, n / max(1, Threads.count))) { range in
      Gemm.multiply(
        .transposed, .normal, m: range.count, n: k, k: m, dy + range.lowerBound, n, x, k,
        beta: beta, dw + range.lowerBound * k, k)
    }
  }
}
