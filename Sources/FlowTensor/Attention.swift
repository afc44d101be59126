import CKernels

/// Multi-head scaled dot-product attention; softmax(q·kᵀ/√d)·v for each head.
/// Vaswani et al. 2017, arXiv 1706.03762, eq. 1. The T×T scores exist for one block of queries of
/// one head at a time and are computed again in the pullback from the stored log-sums
/// (Dao et al. 2022, arXiv 2205.14135).
///
/// - Parameters:
///   - query: [B, T, D], heads side by side in D
///   - key, value: [B, S, D]
/// - Returns: [B, T, D]
public func attention(query: Tensor, key: Tensor, value: Tensor, heads: Int) -> Tensor {
  precondition(
    query.shape.rank == 3 && key.shape.rank == 3 && key.shape == value.shape
      && query.shape[0] == key.shape[0] && query.shape[2] == key.shape[2]
      && query.shape[2] % heads == 0,
    "attention of \(heads) heads: query \(query.shape), key \(key.shape), value \(value.shape)")
  let d = query.shape[2]
  return attend(
    AttentionPlan(
      b: query.shape[0], t: query.shape[1], s: key.shape[1], heads: heads, d: d / heads,
      queryStride: d, keyStride: d, headStride: d / heads),
    AttentionInput(query), AttentionInput(key), AttentionInput(value), shape: query.shape)
}

/// How one linear map for queries, keys and values orders its outputs.
public enum ProjectionOrder: String, Sendable {
  /// (q, k, v), heads side by side in each.
  case partsFirst
  /// Heads side by side, (q, k, v) in each.
  case headsFirst
}

/// Self-attention over the output of one linear map that holds q, k and v.
///
/// - Parameter qkv: [B, T, 3·D]
/// - Returns: [B, T, D], heads side by side
public func selfAttention(
  qkv: Tensor, heads: Int, order: ProjectionOrder = .partsFirst
) -> Tensor {
  precondition(
    qkv.shape.rank == 3 && qkv.shape[2] % (3 * heads) == 0,
    "selfAttention of \(heads) heads over \(qkv.shape)")
  let (b, t, d) = (qkv.shape[0], qkv.shape[1], qkv.shape[2] / 3)
  let head = d / heads
  let (part, headStride) = order == .partsFirst ? (d, head) : (head, 3 * head)
  return attend(
    AttentionPlan(
      b: b, t: t, s: t, heads: heads, d: head, queryStride: 3 * d, keyStride: 3 * d,
      headStride: headStride),
    AttentionInput(qkv), AttentionInput(qkv, from: part), AttentionInput(qkv, from: 2 * part),
    shape: [b, t, d], fused: true)
}

/// Where an operand's elements lie, without the tensor (a pullback must not hold its tape).
private struct AttentionInput {
  let storage: Storage
  let offset: Int
  let column: Int
  let tape: Tape?
  let gradient: Gradient?

  init(_ x: Tensor, from column: Int = 0) {
    (storage, offset, self.column) = (x.storage, x.offset, column)
    (tape, gradient) = (x.tape, x.gradient)
  }
  var base: UnsafeMutablePointer<Float> { storage.base + offset + column }
}

private struct AttentionPlan {
  let b: Int, t: Int, s: Int, heads: Int, d: Int
  /// Elements from one token to the next.
  let queryStride: Int, keyStride: Int
  /// Elements from one head of an operand to the next.
  let headStride: Int

  var scale: Float { 1 / Float(d).squareRoot() }
  /// Queries whose scores exist at once: 1 MiB of scores, but over long sequences as many as it
  /// takes that the product, not the reading of all keys for every block, is what costs.
  var block: Int {
    let least = s > 4096 ? max(64, min(256, d / 2)) : 1
    return max(1, min(t, max(least, 262_144 / max(1, s))))
  }
  var pairs: Int { b * heads }

  /// Runs `body` for each (sample, head), over the threads if there are enough of them; otherwise
  /// one after the other, and the products inside use the threads.
  func forEachHead(_ body: (_ sample: Int, _ head: Int, _ scratch: Storage) -> Void, scratch: Int) {
    if pairs >= Threads.count {
      parallelFor(pairs, grain: 1) { range in
        let buffer = Storage(count: scratch)
        for pair in range { body(pair / heads, pair % heads, buffer) }
      }
    } else {
      let buffer = Storage(count: scratch)
      for pair in 0..<pairs { body(pair / heads, pair % heads, buffer) }
    }
  }
}

private func attend(
  _ p: AttentionPlan, _ q: AttentionInput, _ k: AttentionInput, _ v: AttentionInput, shape: Shape,
  fused: Bool = false
) -> Tensor {
  let y = Tensor(uninitialized: shape)
  let width = p.heads * p.d
  let tape = q.tape ?? k.tape ?? v.tape
  let logSums = Storage(count: p.pairs * p.t)
  let yBase = y.base
  p.forEachHead(
    { sample, head, scratch in
      let (qh, kh, vh) = headBases(p, q, k, v, sample, head)
      let yh = yBase + sample * p.t * width + head * p.d
      let log = logSums.base + (sample * p.heads + head) * p.t
      for first in stride(from: 0, to: p.t, by: p.block) {
        let rows = min(p.block, p.t - first)
        let scores = scratch.base  // [rows, S]
        Gemm.multiply(
          .normal, .transposed, m: rows, n: p.s, k: p.d, qh + first * p.queryStride, p.queryStride,
          kh, p.keyStride, beta: 0, scores, p.s)
        parallelFor(rows, grain: max(1, Kernel.grain / p.s)) { r in
          lf_softmax_rows(
            scores + r.lowerBound * p.s, p.scale, log + first + r.lowerBound, r.count, p.s, p.s)
        }
        Gemm.multiply(
          .normal, .normal, m: rows, n: p.d, k: p.s, scores, p.s, vh, p.keyStride, beta: 0,
          yh + first * width, width)
      }
    }, scratch: p.block * p.s)
  guard let tape else { return y }

  let ys = y.storage
  return tape.record(y, leaves: [q.gradient, k.gradient, v.gradient]) { dy in
    if fused {
      q.gradient?.add { d, beta in
        attendPullback(
          p, q, k, v, ys.base, dy.base, logSums.base, d + q.column, d + k.column, d + v.column,
          beta, beta, beta)
      }
      return
    }
    withGradient(q.gradient, p.b * p.t * width) { dq, qBeta in
      withGradient(k.gradient, p.b * p.s * width) { dk, kBeta in
        withGradient(v.gradient, p.b * p.s * width) { dv, vBeta in
          attendPullback(
            p, q, k, v, ys.base, dy.base, logSums.base, dq, dk, dv, qBeta, kBeta, vBeta)
        }
      }
    }
  }
}

/// The gradient's memory, or scratch where nobody asks for it.
private func withGradient(
  _ gradient: Gradient?, _ count: Int, _ body: (UnsafeMutablePointer<Float>, Float) -> Void
) {
  if let gradient { return gradient.add(body) }
  let scratch = Storage(count: count)
  withExtendedLifetime(scratch) { body(scratch.base, 0) }
}

private func headBases(
  _ p: AttentionPlan, _ q: AttentionInput, _ k: AttentionInput, _ v: AttentionInput, _ sample: Int,
  _ head: Int
) -> (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>) {
  (
    q.base + sample * p.t * p.queryStride + head * p.headStride,
    k.base + sample * p.s * p.keyStride + head * p.headStride,
    v.base + sample * p.s * p.keyStride + head * p.headStride
  )
}

/// dv = Pᵀ·dy, dP = dy·vᵀ, dS = P ⊙ (dP − rowsum(dy ⊙ y)) / √d, dq = dS·k, dk = dSᵀ·q.
private func attendPullback(
  _ p: AttentionPlan, _ q: AttentionInput, _ k: AttentionInput, _ v: AttentionInput,
  _ y: UnsafeMutablePointer<Float>, _ dy: UnsafeMutablePointer<Float>,
  _ logSums: UnsafeMutablePointer<Float>, _ dq: UnsafeMutablePointer<Float>,
  _ dk: UnsafeMutablePointer<Float>, _ dv: UnsafeMutablePointer<Float>, _ qBeta: Float,
  _ kBeta: Float, _ vBeta: Float
) {
  let width = p.heads * p.d
  p.forEachHead(
    { sample, head, scratch in
      let (qh, kh, vh) = headBases(p, q, k, v, sample, head)
      let token = sample * p.t * width + head * p.d
      let dqh = dq + sample * p.t * p.queryStride + head * p.headStride
      let dkh = dk + sample * p.s * p.keyStride + head * p.headStride
      let dvh = dv + sample * p.s * p.keyStride + head * p.headStride
      let log = logSums + (sample * p.heads + head) * p.t
      let probabilities = scratch.base  // [rows, S]
      let dScores = scratch.base + p.block * p.s  // [rows, S]
      let delta = scratch.base + 2 * p.block * p.s  // [rows]
      for first in stride(from: 0, to: p.t, by: p.block) {
        let rows = min(p.block, p.t - first)
        let (qb, qs) = (qh + first * p.queryStride, p.queryStride)
        let dyb = dy + token + first * width
        Gemm.multiply(
          .normal, .transposed, m: rows, n: p.s, k: p.d, qb, qs, kh, p.keyStride, beta: 0,
          probabilities, p.s)
        Gemm.multiply(
          .normal, .transposed, m: rows, n: p.s, k: p.d, dyb, width, vh, p.keyStride, beta: 0,
          dScores, p.s)
        parallelFor(rows, grain: max(1, Kernel.grain / p.s)) { r in
          let i = r.lowerBound
          let (pr, dr) = (probabilities + i * p.s, dScores + i * p.s)
          lf_row_dots(
            dyb + i * width, y + token + (first + i) * width, delta + i, r.count, p.d, width, width)
          lf_softmax_recompute(pr, p.scale, log + first + i, r.count, p.s, p.s)
          lf_softmax_pullback(pr, delta + i, p.scale, dr, r.count, p.s, p.s)
        }
        Gemm.multiply(
          .transposed, .normal, m: p.s, n: p.d, k: rows, probabilities, p.s, dyb, width,
          beta: first == 0 ? vBeta : 1, dvh, p.keyStride)
        Gemm.multiply(
          .normal, .normal, m: rows, n: p.d, k: p.s, dScores, p.s, kh, p.keyStride, beta: qBeta,
          dqh + first * p.queryStride, p.queryStride)
        Gemm.multiply(
          .transposed, .normal, m: p.s, n: p.d, k: rows, dScores, p.s, qb, qs,
          beta: first == 0 ? kBeta : 1, dkh, p.keyStride)
      }
    }, scratch: 2 * p.block * p.s + p.block)
}
