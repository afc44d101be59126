import CKernels

/// Layer norm without learned affine, then modulation: y = norm(x)·(1 + scale) + shift.
/// Ba, Kiros & Hinton 2016, arXiv 1607.06450; Peebles & Xie 2022, arXiv 2212.09748, section 3.2.
///
/// - Parameters:
///   - x: [B, T, D]
///   - shift, scale: [B, D]
/// - Returns: [B, T, D]
public func layerNorm(_ x: Tensor, shift: Tensor, scale: Tensor, epsilon: Float = 1e-6) -> Tensor {
  let (b, t, d) = tokenExtents(x)
  precondition(
    shift.shape == [b, d] && scale.shape == [b, d],
    "layerNorm: \(x.shape) modulated by \(shift.shape) and \(scale.shape)")
  let y = Tensor(uninitialized: x.shape)
  let recording = x.tape != nil
  let statistics = Storage(count: recording ? 2 * b * t : 0)  // mean, then 1/σ, per token
  let mean = recording ? statistics.base : nil
  let rstd = recording ? statistics.base + b * t : nil
  parallelFor(b * t, grain: max(1, Kernel.grain / d)) { range in
    forEachBatchPart(range, tokens: t) { batch, first, rows in
      lf_layer_norm(
        x.base + first * d, shift.base + batch * d, scale.base + batch * d, 1, y.base + first * d,
        mean.map { $0 + first }, rstd.map { $0 + first }, epsilon, rows, d)
    }
  }
  guard let tape = x.tape else { return y }
  let (xs, xo, dxs) = (x.storage, x.offset, x.gradient)
  let (ss, so, dss) = (scale.storage, scale.offset, scale.gradient)
  let dhs = shift.gradient
  return tape.record(y, leaves: [dss, dhs]) { dy in
    let shiftSum = Storage(count: b * d)
    let scaleSum = Storage(count: b * d)
    let run = { (dx: UnsafeMutablePointer<Float>, beta: Float) in
      parallelFor(b, grain: 1) { range in
        for i in range {
          lf_layer_norm_pullback(
            xs.base + xo + i * t * d, ss.base + so + i * d, 1, statistics.base + i * t,
            statistics.base + b * t + i * t, dy.base + i * t * d, dx + i * t * d, beta,
            shiftSum.base + i * d, scaleSum.base + i * d, t, d)
        }
      }
    }
    if let dxs {
      dxs.add(run)
    } else {
      let scratch = Storage(count: b * t * d)
      withExtendedLifetime(scratch) { run(scratch.base, 0) }
    }
    dhs?.add(consuming: shiftSum)
    dss?.add(consuming: scaleSum)
  }
}

/// y = x + gate ⊙ f, the gate shared by the tokens of a sample.
///
/// - Parameters:
///   - x, f: [B, T, D]
///   - gate: [B, D]
public func gatedResidual(_ x: Tensor, gate: Tensor, _ f: Tensor) -> Tensor {
  let (b, t, d) = tokenExtents(x)
  precondition(
    f.shape == x.shape && gate.shape == [b, d],
    "gatedResidual: \(x.shape) + \(gate.shape) ⊙ \(f.shape)")
  let y = Tensor(uninitialized: x.shape)
  parallelFor(b * t, grain: max(1, Kernel.grain / d)) { range in
    forEachBatchPart(range, tokens: t) { batch, first, rows in
      lf_gated_residual(
        x.base + first * d, gate.base + batch * d, f.base + first * d, y.base + first * d, rows, d)
    }
  }
  guard let tape = x.tape ?? f.tape else { return y }
  let (gs, go, dgs) = (gate.storage, gate.offset, gate.gradient)
  let (fs, fo, dfs) = (f.storage, f.offset, f.gradient)
  let dxs = x.gradient
  return tape.record(y, leaves: [dgs]) { dy in
    let gateSum = Storage(count: b * d)
    dfs?.add { df, beta in
      parallelFor(b, grain: 1) { range in
        for i in range {
          lf_gated_residual_pullback(
            gs.base + go + i * d, fs.base + fo + i * t * d, dy.base + i * t * d, df + i * t * d,
            beta, gateSum.base + i * d, t, d)
        }
      }
    }
    if dfs != nil { dgs?.add(consuming: gateSum) }
    dxs?.add(consuming: dy)
  }
}

extension Tensor {
  /// x + rows, one row for all tokens of a sample.
  ///
  /// - Parameter rows: [B, D], for x of [B, …, D]
  public func adding(perSample rows: Tensor) -> Tensor {
    let (b, t, d) = tokenExtents(self)
    precondition(rows.shape == [b, d], "cannot add \(rows.shape) to each token of \(shape)")
    let y = Tensor(uninitialized: shape)
    parallelFor(b * t, grain: max(1, Kernel.grain / d)) { range in
      forEachBatchPart(range, tokens: t) { batch, first, count in
        (y.base + first * d).update(from: base + first * d, count: count * d)
        lf_add_bias(y.base + first * d, rows.base + batch * d, count, d)
      }
    }
    guard let tape = tape ?? rows.tape else { return y }
    let (dxs, drs) = (gradient, rows.gradient)
    return tape.record(y, leaves: [dxs, drs]) { dy in
      drs?.add { dr, beta in
        for i in 0..<b {
          Kernel.columnSums(
            dy.base + i * t * d, rows: t, columns: d, into: dr + i * d, beta: beta)
        }
      }
      dxs?.add(consuming: dy)
    }
  }
}

/// [B, …, D] read as batch, tokens, width.
private func tokenExtents(_ x: Tensor) -> (b: Int, t: Int, d: Int) {
  precondition(x.shape.rank >= 2, "expected [B, …, D], found \(x.shape)")
  let (b, d) = (x.shape[0], x.shape[-1])
  return (b, b * d == 0 ? 0 : x.count / (b * d), d)
}

/// Cuts a range of token rows at the edges between samples.
@inline(__always)
private func forEachBatchPart(
  _ range: Range<Int>, tokens t: Int, _ body: (_ batch: Int, _ first: Int, _ rows: Int) -> Void
) {
  var first = range.lowerBound
  while first < range.upperBound {
    let batch = first / t
    let end = min(range.upperBound, (batch + 1) * t)
    body(batch, first, end - first)
    first = end
  }
}
