import CKernels

/// Linear attention: softmax(q)·(softmax(k)ᵀ·v)/√d, q over its features, k over the positions.
/// Shen et al. 2021, «Efficient Attention», arXiv 1812.01243, eq. 4, with the scale of FMBoost.
/// Time and memory grow with T, not with T².
///
/// - Parameter qkv: [N, T, 3·d], in the order (q, k, v); every one of the N attends for itself
/// - Returns: [N, T, d]
public func linearSelfAttention(qkv: Tensor) -> Tensor {
  precondition(
    qkv.shape.rank == 3 && qkv.shape[2] % 3 == 0, "linearSelfAttention over \(qkv.shape)")
  let p = LinearAttentionPlan(n: qkv.shape[0], t: qkv.shape[1], d: qkv.shape[2] / 3)
  let y = Tensor(uninitialized: [p.n, p.t, p.d])
  let (xBase, yBase) = (qkv.base, y.base)
  p.forEach(matrices: 2) { i, scratch in
    let x = xBase + i * p.t * 3 * p.d
    let soft = p.softmaxes(x, scratch)
    Gemm.multiply(
      .normal, .normal, m: p.t, n: p.d, k: p.d, alpha: p.scale, soft.q, p.d, soft.context, p.d,
      beta: 0, yBase + i * p.t * p.d, p.d)
  }
  guard let tape = qkv.tape else { return y }
  let (xs, xo, dxs) = (qkv.storage, qkv.offset, qkv.gradient)
  return tape.record(y, leaves: [dxs]) { dy in
    dxs?.add { d, beta in
      p.forEach(matrices: 3) { i, scratch in
        p.pullback(
          xs.base + xo + i * p.t * 3 * p.d, dy.base + i * p.t * p.d, scratch,
          into: d + i * p.t * 3 * p.d, beta: beta)
      }
    }
  }
}

private struct LinearAttentionPlan {
  let n: Int, t: Int, d: Int

  var scale: Float { 1 / Float(d).squareRoot() }

  /// Scratch of one head: so many matrices [T, d] and two [d, d].
  func forEach(matrices: Int, _ body: (_ i: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void) {
    parallelFor(n, grain: 1) { range in
      let scratch = Storage(count: matrices * t * d + 2 * d * d)
      withExtendedLifetime(scratch) { for i in range { body(i, scratch.base) } }
    }
  }

  /// softmax(q) and softmax(k), [T, d] each, and softmax(k)ᵀ·v, [d, d].
  func softmaxes(
    _ x: UnsafePointer<Float>, _ scratch: UnsafeMutablePointer<Float>
  ) -> (
    q: UnsafeMutablePointer<Float>, k: UnsafeMutablePointer<Float>,
    context: UnsafeMutablePointer<Float>
  ) {
    let context = scratch
    let (q, k) = (scratch + 2 * d * d, scratch + 2 * d * d + t * d)
    for row in 0..<t {
      (q + row * d).update(from: x + row * 3 * d, count: d)
      (k + row * d).update(from: x + row * 3 * d + d, count: d)
    }
    lf_softmax_rows(q, 1, nil, t, d, d)
    lf_softmax_columns(k, t, d)
    Gemm.multiply(
      .transposed, .normal, m: d, n: d, k: t, k, d, x + 2 * d, 3 * d, beta: 0, context, d)
    return (q, k, context)
  }

  /// With Q, K the softmaxes, C = Kᵀ·v and s the scale: dC = s·Qᵀ·dy, dv = K·dC, dK = v·dCᵀ,
  /// dQ = s·dy·Cᵀ; then through the softmaxes.
  func pullback(
    _ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, _ scratch: UnsafeMutablePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, beta: Float
  ) {
    let (q, k, context) = softmaxes(x, scratch)
    let dContext = scratch + d * d
    let change = scratch + 2 * d * d + 2 * t * d  // dQ, then dK, [T, d]
    Gemm.multiply(
      .transposed, .normal, m: d, n: d, k: t, alpha: scale, q, d, dy, d, beta: 0, dContext, d)
    Gemm.multiply(
      .normal, .normal, m: t, n: d, k: d, k, d, dContext, d, beta: beta, dx + 2 * d, 3 * d)
    Gemm.multiply(
      .normal, .transposed, m: t, n: d, k: d, alpha: scale, dy, d, context, d, beta: 0, change, d)
    lf_softmax_rows_pullback(q, change, dx, beta, t, d, 3 * d)
    Gemm.multiply(
      .normal, .transposed, m: t, n: d, k: d, x + 2 * d, 3 * d, dContext, d, beta: 0, change, d)
    lf_softmax_columns_pullback(k, change, dx + d, beta, t, d, 3 * d)
  }
}
