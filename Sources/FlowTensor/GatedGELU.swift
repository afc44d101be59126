import CKernels

/// One half of the channels gated by the other: (a, g) ↦ a ⊙ GELU(g), the exact GELU x·Φ(x).
/// Shazeer 2020, «GLU variants improve transformer», arXiv 2002.05202, eq. 6.
///
/// - Parameter x: […, 2·D], the gates last
/// - Returns: […, D]
public func geglu(_ x: Tensor) -> Tensor {
  let (rows, width) = (x.shape.rows, x.shape[-1])
  precondition(width % 2 == 0, "geglu of an odd width: \(x.shape)")
  let d = width / 2
  let grain = max(1, Kernel.grain / 8 / max(1, d))
  let y = Tensor(uninitialized: Shape(x.shape.dims.dropLast() + [d]))
  parallelFor(rows, grain: grain) { r in
    lf_geglu(x.base + r.lowerBound * width, y.base + r.lowerBound * d, r.count, d)
  }
  guard let tape = x.tape else { return y }
  let (xs, xo, dxs) = (x.storage, x.offset, x.gradient)
  return tape.record(y, leaves: [dxs]) { dy in
    dxs?.add { dx, beta in
      parallelFor(rows, grain: grain) { r in
        let i = r.lowerBound
        lf_geglu_pullback(
          xs.base + xo + i * width, dy.base + i * d, dx + i * width, beta, r.count, d)
      }
    }
  }
}
