import CKernels

/// The two innermost axes change places: tokens to channel planes and back.
///
/// - Parameter x: [B, M, N]
/// - Returns: [B, N, M]
public func transposed(_ x: Tensor) -> Tensor {
  precondition(x.shape.rank == 3, "transposed: expected [B, M, N], found \(x.shape)")
  let (b, m, n) = (x.shape[0], x.shape[1], x.shape[2])
  let y = Tensor(uninitialized: [b, n, m])
  Kernel.transpose(x.base, into: y.base, beta: 0, count: b, rows: m, columns: n)
  guard let tape = x.tape else { return y }
  let dxs = x.gradient
  return tape.record(y, leaves: [dxs]) { dy in
    dxs?.add { dx, beta in
      Kernel.transpose(dy.base, into: dx, beta: beta, count: b, rows: n, columns: m)
    }
  }
}

extension Kernel {
  /// y = beta·y + xᵀ for `count` matrices [rows, columns]; threads split the rows of y.
  fileprivate static func transpose(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, beta: Float, count: Int,
    rows: Int, columns: Int
  ) {
    let size = rows * columns
    for matrix in 0..<count {
      parallelFor(columns, grain: max(16, grain / max(1, rows))) { r in
        lf_transpose(
          x + matrix * size + r.lowerBound, y + matrix * size + r.lowerBound * rows, beta, rows,
          r.count, columns)
      }
    }
  }
}
