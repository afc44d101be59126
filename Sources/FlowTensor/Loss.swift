import CKernels

/// Mean over all elements of (a − b)²; `b` is a constant.
/// The sum runs in Double over fixed chunks of 65,536 elements, added in chunk order.
public func meanSquaredError(_ a: Tensor, _ b: Tensor) -> Tensor {
  precondition(a.shape == b.shape, "meanSquaredError of \(a.shape) and \(b.shape)")
  let n = a.count
  let chunk = 65_536
  let chunks = (n + chunk - 1) / chunk
  var sums = [Double](repeating: 0, count: chunks)
  sums.withUnsafeMutableBufferPointer { sums in
    nonisolated(unsafe) let out = sums.baseAddress!
    parallelFor(chunks, grain: 1) { range in
      for c in range {
        let first = c * chunk
        out[c] = lf_squared_error(a.base + first, b.base + first, min(chunk, n - first))
      }
    }
  }
  let y = Tensor([], [Float(sums.reduce(0, +) / Double(n))])
  guard let tape = a.tape else { return y }
  let (xs, xo, dxs) = (a.storage, a.offset, a.gradient)
  let (bs, bo) = (b.storage, b.offset)
  return tape.record(y, leaves: [dxs]) { dy in
    let factor = dy.base[0] * 2 / Float(n)
    dxs?.add { dx, beta in
      parallelFor(n, grain: Kernel.grain) { r in
        let i = r.lowerBound
        lf_squared_error_pullback(xs.base + xo + i, bs.base + bo + i, factor, dx + i, beta, r.count)
      }
    }
  }
}
