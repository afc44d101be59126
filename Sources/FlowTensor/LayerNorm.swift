import CKernels

/// Layer norm with a learned affine map: y = norm(x)·weight + bias.
/// Ba, Kiros & Hinton 2016, arXiv 1607.06450.
///
/// The gradients of weight and bias are summed over fixed chunks of rows, added in their order:
/// they do not depend on the number of threads.
///
/// - Parameters:
///   - x: […, D]
///   - weight, bias: [D]
/// - Returns: […, D]
public func layerNorm(_ x: Tensor, weight: Tensor, bias: Tensor, epsilon: Float = 1e-5) -> Tensor {
  let (rows, d) = (x.shape.rows, x.shape[-1])
  precondition(
    weight.shape == [d] && bias.shape == [d],
    "layerNorm: \(x.shape), weight \(weight.shape), bias \(bias.shape)")
  let y = Tensor(uninitialized: x.shape)
  let recording = x.tape != nil
  let statistics = Storage(count: recording ? 2 * rows : 0)  // mean, then 1/σ, per row
  let mean = recording ? statistics.base : nil
  let rstd = recording ? statistics.base + rows : nil
  parallelFor(rows, grain: max(1, Kernel.grain / max(1, d))) { r in
    let i = r.lowerBound
    lf_layer_norm(
      x.base + i * d, bias.base, weight.base, 0, y.base + i * d, mean.map { $0 + i },
      rstd.map { $0 + i }, epsilon, r.count, d)
  }
  guard let tape = x.tape else { return y }
  let (xs, xo, dxs) = (x.storage, x.offset, x.gradient)
  let (ws, wo, dws) = (weight.storage, weight.offset, weight.gradient)
  let dbs = bias.gradient
  let chunk = max(1, 32_768 / max(1, d))
  let chunks = (rows + chunk - 1) / chunk
  return tape.record(y, leaves: [dws, dbs]) { dy in
    let sums = Storage(count: 2 * chunks * d)  // of the bias, then of the weight, per chunk
    let weightSums = sums.base + chunks * d
    let run = { (dx: UnsafeMutablePointer<Float>, beta: Float) in
      parallelFor(chunks, grain: 1) { range in
        for k in range {
          let first = k * chunk
          lf_layer_norm_pullback(
            xs.base + xo + first * d, ws.base + wo, 0, statistics.base + first,
            statistics.base + rows + first, dy.base + first * d, dx + first * d, beta,
            sums.base + k * d, weightSums + k * d, min(chunk, rows - first), d)
        }
      }
    }
    if let dxs {
      dxs.add(run)
    } else {
      let scratch = Storage(count: rows * d)
      withExtendedLifetime(scratch) { run(scratch.base, 0) }
    }
    withExtendedLifetime(sums) {
      dbs?.add { d0, beta in
        Kernel.columnSums(sums.base, rows: chunks, columns: d, into: d0, beta: beta)
      }
      dws?.add { d0, beta in
        Kernel.columnSums(weightSums, rows: chunks, columns: d, into: d0, beta: beta)
      }
    }
  }
}
