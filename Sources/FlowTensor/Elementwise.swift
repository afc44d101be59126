import CKernels

/// Sum of two tensors of one shape.
public func + (a: Tensor, b: Tensor) -> Tensor {
  precondition(a.shape == b.shape, "cannot add \(a.shape) and \(b.shape)")
  let y = Tensor(uninitialized: a.shape)
  parallelFor(y.count, grain: Kernel.grain) { r in
    let i = r.lowerBound
    lf_add(a.base + i, b.base + i, y.base + i, r.count)
  }
  guard let tape = a.tape ?? b.tape else { return y }
  let (das, dbs, n) = (a.gradient, b.gradient, y.count)
  return tape.record(y, leaves: [das, dbs]) { dy in
    if let das, let dbs {
      das.add { d, beta in Kernel.accumulate(dy.base, into: d, beta: beta, count: n) }
      dbs.add(consuming: dy)
    } else {
      (das ?? dbs)?.add(consuming: dy)
    }
  }
}

/// s·x.
public func * (s: Float, x: Tensor) -> Tensor {
  let y = Tensor(uninitialized: x.shape)
  let n = x.count
  Kernel.scale(x.base, by: s, into: y.base, beta: 0, count: n)
  guard let tape = x.tape else { return y }
  let dxs = x.gradient
  return tape.record(y, leaves: [dxs]) { dy in
    dxs?.add { dx, beta in Kernel.scale(dy.base, by: s, into: dx, beta: beta, count: n) }
  }
}

public func - (a: Tensor, b: Tensor) -> Tensor { a + (-1 * b) }

/// SiLU, x·σ(x).  Hendrycks & Gimpel 2016, arXiv 1606.08415.
public func silu(_ x: Tensor) -> Tensor { activate(x, .silu) }

/// GELU in its tanh form (same paper, section 2).
public func geluTanh(_ x: Tensor) -> Tensor { activate(x, .geluTanh) }

private func activate(_ x: Tensor, _ activation: Activation) -> Tensor {
  let y = Tensor(uninitialized: x.shape)
  let n = x.count
  Kernel.activation(activation, x.base, y.base, count: n)
  guard let tape = x.tape else { return y }
  let (xs, xo, dxs) = (x.storage, x.offset, x.gradient)
  return tape.record(y, leaves: [dxs]) { dy in
    dxs?.add { dx, beta in
      Kernel.activationPullback(activation, xs.base + xo, dy.base, dx, beta: beta, count: n)
    }
  }
}

extension Tensor {
  /// Equal parts along the innermost axis: [B, n·D] → n × [B, D].
  public func split(into parts: Int) -> [Tensor] {
    let (rows, width) = (shape.rows, shape[-1])
    precondition(width % parts == 0, "cannot split \(shape) into \(parts) parts")
    let d = width / parts
    let partShape = Shape(shape.dims.dropLast() + [d])
    let dxs = gradient
    return (0..<parts).map { part in
      let y = Tensor(uninitialized: partShape)
      for r in 0..<rows { (y.base + r * d).update(from: base + r * width + part * d, count: d) }
      guard let tape else { return y }
      return tape.record(y, leaves: [dxs]) { dy in
        dxs?.add { dx, beta in
          if beta == 0 { dx.update(repeating: 0, count: rows * width) }
          for r in 0..<rows {
            lf_accumulate(dy.base + r * d, dx + r * width + part * d, 1, d)
          }
        }
      }
    }
  }

  /// x + rows, with `rows` [T, D] added to every sample of [B, T, D]; `rows` is a constant.
  public func adding(constantRows rows: Tensor) -> Tensor {
    precondition(
      shape.rank >= 2 && rows.count == count / shape[0] && rows.shape[-1] == shape[-1],
      "cannot add rows \(rows.shape) to each sample of \(shape)")
    let y = Tensor(uninitialized: shape)
    let per = rows.count
    for b in 0..<shape[0] {
      parallelFor(per, grain: Kernel.grain) { r in
        let i = b * per + r.lowerBound
        lf_add(base + i, rows.base + r.lowerBound, y.base + i, r.count)
      }
    }
    guard let tape else { return y }
    let dxs = gradient
    return tape.record(y) { dy in dxs?.add(consuming: dy) }
  }
}

/// Concatenation along the innermost axis: [B, …, C1], [B, …, C2] → [B, …, C1 + C2].
public func concatenate(_ a: Tensor, _ b: Tensor) -> Tensor {
  precondition(
    a.shape.dims.dropLast() == b.shape.dims.dropLast(),
    "cannot concatenate \(a.shape) and \(b.shape) along the innermost axis")
  let (rows, ca, cb) = (a.shape.rows, a.shape[-1], b.shape[-1])
  let c = ca + cb
  let grain = max(1, Kernel.grain / max(1, c))
  let y = Tensor(uninitialized: Shape(a.shape.dims.dropLast() + [c]))
  parallelFor(rows, grain: grain) { range in
    for r in range {
      (y.base + r * c).update(from: a.base + r * ca, count: ca)
      (y.base + r * c + ca).update(from: b.base + r * cb, count: cb)
    }
  }
  guard let tape = a.tape ?? b.tape else { return y }
  let (das, dbs) = (a.gradient, b.gradient)
  return tape.record(y, leaves: [das, dbs]) { dy in
    das?.add { d, beta in
      parallelFor(rows, grain: grain) { range in
        for r in range { lf_accumulate(dy.base + r * c, d + r * ca, beta, ca) }
      }
    }
    dbs?.add { d, beta in
      parallelFor(rows, grain: grain) { range in
        for r in range { lf_accumulate(dy.base + r * c + ca, d + r * cb, beta, cb) }
      }
    }
  }
}
