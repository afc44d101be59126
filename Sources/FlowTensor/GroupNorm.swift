import CKernels

/// Group normalisation, channels last, with an optional SiLU behind it.
/// Wu & He 2018, arXiv 1803.08494, eqs. 1–7.
///
/// Statistics are those of one sample and group over all pixels, summed in Double over fixed
/// chunks of pixels in pixel order: the result does not depend on the number of threads. Only mean
/// and 1/σ are kept for the pullback.
///
/// - Parameters:
///   - x: [B, …, C], e.g. [B, H, W, C]
///   - weight, bias: [C]
///   - activation: `.none` or `.silu`
/// - Returns: [B, …, C]
public func groupNorm(
  _ x: Tensor, groups: Int, weight: Tensor, bias: Tensor, eps: Float = 1e-6,
  activation: Activation = .none
) -> Tensor {
  let plan = GroupNormPlan(x, groups, weight, bias, activation)
  let affine = GroupNormAffine(plan) { _, c in (weight.base[c], bias.base[c]) }
  let (dws, dbs) = (weight.gradient, bias.gradient)
  return normalize(x, plan, affine, eps: eps, leaves: [dws, dbs]) { sums in
    dws?.add { d, beta in sums.addOverBatch(into: d, beta: beta) { sums.product[$0] } }
    dbs?.add { d, beta in sums.addOverBatch(into: d, beta: beta) { sums.gradient[$0] } }
  }
}

/// Group normalisation whose result a condition scales and shifts before the activation:
/// f(norm(x)·(1 + scale) + shift).  Dhariwal & Nichol 2021, arXiv 2105.05233, eq. 10.
///
/// - Parameters:
///   - x: [B, …, C]
///   - weight, bias: [C]
///   - shift, scale: [B, C]
///   - activation: `.none` or `.silu`
/// - Returns: [B, …, C]
public func groupNorm(
  _ x: Tensor, groups: Int, weight: Tensor, bias: Tensor, shift: Tensor, scale: Tensor,
  eps: Float = 1e-6, activation: Activation = .none
) -> Tensor {
  let plan = GroupNormPlan(x, groups, weight, bias, activation)
  let c = plan.channels
  precondition(
    shift.shape == [plan.batch, c] && scale.shape == [plan.batch, c],
    "groupNorm: \(x.shape) modulated by \(shift.shape) and \(scale.shape)")
  let affine = GroupNormAffine(plan) { i, c in
    let factor = 1 + scale.base[i]
    return (weight.base[c] * factor, bias.base[c] * factor + shift.base[i])
  }
  let (dws, dbs) = (weight.gradient, bias.gradient)
  let (dss, dhs) = (scale.gradient, shift.gradient)
  let (w, b, s) = (weight.detached, bias.detached, scale.detached)
  return normalize(
    x, plan, affine, eps: eps, tape: x.tape ?? scale.tape ?? shift.tape,
    leaves: [dws, dbs, dss, dhs]
  ) { sums in
    let (gradient, product) = (sums.gradient, sums.product)
    dws?.add { d, beta in
      sums.addOverBatch(into: d, beta: beta) { Double(1 + s.base[$0]) * product[$0] }
    }
    dbs?.add { d, beta in
      sums.addOverBatch(into: d, beta: beta) { Double(1 + s.base[$0]) * gradient[$0] }
    }
    dss?.add { d, beta in
      sums.add(into: d, beta: beta) {
        Double(w.base[$0 % c]) * product[$0] + Double(b.base[$0 % c]) * gradient[$0]
      }
    }
    dhs?.add { d, beta in sums.add(into: d, beta: beta) { gradient[$0] } }
  }
}

/// - Parameter pullback: adds the gradients of what `affine` was made of.
private func normalize(
  _ x: Tensor, _ plan: GroupNormPlan, _ affine: GroupNormAffine, eps: Float, tape: Tape? = nil,
  leaves: [Gradient?], _ pullback: @escaping (GroupNormSums) -> Void
) -> Tensor {
  let y = Tensor(uninitialized: x.shape)
  let statistics = plan.statistics(x.base, eps: eps)
  plan.apply(x.base, statistics, affine, into: y.base)

  guard let tape = tape ?? x.tape else { return y }
  let (xs, xo, dxs) = (x.storage, x.offset, x.gradient)
  return tape.record(y, leaves: leaves) { dy in
    let sums = plan.pullbackSums(xs.base + xo, statistics, affine, dy.base)
    pullback(sums)
    dxs?.add { d, beta in
      plan.pullback(xs.base + xo, statistics, affine, dy.base, sums, into: d, beta: beta)
    }
  }
}

/// y = x̂·gain + offset, [B, C] each.
private struct GroupNormAffine {
  private(set) var gain: [Float] = []
  private(set) var offset: [Float] = []

  /// - Parameter value: of index b·C + c and channel c.
  init(_ plan: GroupNormPlan, _ value: (_ i: Int, _ c: Int) -> (gain: Float, offset: Float)) {
    for i in 0..<plan.batch * plan.channels {
      let (gain, offset) = value(i, i % plan.channels)
      self.gain.append(gain)
      self.offset.append(offset)
    }
  }
}

/// Mean and 1/σ of every sample and channel, [B, C] each, equal within a group.
private struct GroupNormStatistics {
  var mean: [Float]
  var rstd: [Float]
}

/// Σ g and Σ g·x̂ over the pixels of every sample and channel, [B, C] each; g is the gradient with
/// respect to x̂·gain + offset.
private struct GroupNormSums {
  let batch: Int
  let channels: Int
  var gradient: [Double]
  var product: [Double]

  /// d[c] += Σ_b term(b·C + c)
  func addOverBatch(
    into d: UnsafeMutablePointer<Float>, beta: Float, _ term: (_ i: Int) -> Double
  ) {
    for c in 0..<channels {
      var total = 0.0
      for b in 0..<batch { total += term(b * channels + c) }
      d[c] = Float(total) + (beta == 0 ? 0 : d[c])
    }
  }

  /// d[i] += term(i), i = b·C + c
  func add(into d: UnsafeMutablePointer<Float>, beta: Float, _ term: (_ i: Int) -> Double) {
    for i in 0..<batch * channels { d[i] = Float(term(i)) + (beta == 0 ? 0 : d[i]) }
  }
}

private struct GroupNormPlan {
  let batch: Int
  let pixels: Int
  let channels: Int
  let groups: Int
  let activate: Bool

  init(_ x: Tensor, _ groups: Int, _ weight: Tensor, _ bias: Tensor, _ activation: Activation) {
    let c = x.shape[-1]
    precondition(
      x.shape.rank >= 2 && c % groups == 0 && weight.shape == [c] && bias.shape == [c],
      "groupNorm of \(x.shape) in \(groups) groups, weight \(weight.shape), bias \(bias.shape)")
    precondition(activation != .geluTanh, "groupNorm has no GELU behind it")
    (batch, channels, self.groups) = (x.shape[0], c, groups)
    pixels = x.count / max(1, batch * c)
    activate = activation == .silu
  }

  private var width: Int { channels / groups }
  private var silu: Int32 { activate ? 1 : 0 }
  /// Pixels per partial sum: a function of the shape alone, so that sums have one order.
  private var chunk: Int { max(1, 32_768 / channels) }
  private var chunks: Int { (pixels + chunk - 1) / chunk }

  /// Runs `body(sample, pixels, index)` for every chunk of every sample on the engine's threads.
  private func forChunks(_ body: (_ b: Int, _ p: Range<Int>, _ index: Int) -> Void) {
    let per = chunks
    parallelFor(batch * per, grain: max(1, 16_384 / max(1, min(chunk, pixels) * channels))) { r in
      for index in r {
        let (b, k) = (index / per, index % per)
        body(b, k * chunk..<min(pixels, (k + 1) * chunk), index)
      }
    }
  }

  /// Adds up two partial sums per chunk and channel in chunk order: two arrays [B, C].
  private func chunkSums(
    _ body: (_ b: Int, _ p: Range<Int>, UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>)
      -> Void
  ) -> (first: [Double], second: [Double]) {
    let c = channels
    let partial = UnsafeMutablePointer<Double>.allocate(capacity: max(1, batch * chunks * 2 * c))
    defer { partial.deallocate() }
    forChunks { b, p, index in
      body(b, p, partial + index * 2 * c, partial + (index * 2 + 1) * c)
    }
    var first = [Double](repeating: 0, count: batch * c)
    var second = first
    for b in 0..<batch {
      for index in b * chunks..<(b + 1) * chunks {
        for j in 0..<c {
          first[b * c + j] += partial[index * 2 * c + j]
          second[b * c + j] += partial[(index * 2 + 1) * c + j]
        }
      }
    }
    return (first, second)
  }

  /// One pass over x: sums of x − s and (x − s)² with s near the mean, so that nothing cancels.
  func statistics(_ x: UnsafePointer<Float>, eps: Float) -> GroupNormStatistics {
    let c = channels
    let shifts = pilotMeans(x)
    let sums = shifts.withUnsafeBufferPointer { shifts in
      nonisolated(unsafe) let shift = shifts.baseAddress!
      return chunkSums { b, p, sum, square in
        lf_group_norm_sums(
          x + (b * pixels + p.lowerBound) * c, shift + b * c, sum, square, p.count, c)
      }
    }
    var result = GroupNormStatistics(mean: shifts, rstd: shifts)
    let n = Double(pixels * width)
    for b in 0..<batch {
      for g in 0..<groups {
        let range = b * c + g * width..<b * c + (g + 1) * width
        let offset = sums.first[range].reduce(0, +) / n
        let variance = max(0, sums.second[range].reduce(0, +) / n - offset * offset)
        let mean = Float(Double(shifts[range.lowerBound]) + offset)
        let rstd = Float(1 / (variance + Double(eps)).squareRoot())
        for i in range { (result.mean[i], result.rstd[i]) = (mean, rstd) }
      }
    }
    return result
  }

  /// The mean of each group over up to 16 pixels spread over the sample, [B, C].
  private func pilotMeans(_ x: UnsafePointer<Float>) -> [Float] {
    let c = channels
    var result = [Float](repeating: 0, count: batch * c)
    let count = min(16, pixels)
    for b in 0..<batch {
      for g in 0..<groups {
        var sum: Float = 0
        for k in 0..<count {
          let row = x + (b * pixels + k * pixels / count) * c + g * width
          for j in 0..<width { sum += row[j] }
        }
        let mean = count == 0 ? 0 : sum / Float(count * width)
        for j in 0..<width { result[b * c + g * width + j] = mean }
      }
    }
    return result
  }

  /// rstd·gain, [B, C].
  private func scales(_ s: GroupNormStatistics, _ affine: GroupNormAffine) -> [Float] {
    s.rstd.indices.map { s.rstd[$0] * affine.gain[$0] }
  }

  func apply(
    _ x: UnsafePointer<Float>, _ s: GroupNormStatistics, _ affine: GroupNormAffine,
    into y: UnsafeMutablePointer<Float>
  ) {
    let c = channels
    withPointers(s.mean, scales(s, affine), affine.offset) { mean, scale, bias in
      forChunks { b, p, _ in
        let i = (b * pixels + p.lowerBound) * c
        lf_group_norm_apply(
          x + i, mean + b * c, scale + b * c, bias + b * c, y + i, silu, p.count, c)
      }
    }
  }

  func pullbackSums(
    _ x: UnsafePointer<Float>, _ s: GroupNormStatistics, _ affine: GroupNormAffine,
    _ dy: UnsafePointer<Float>
  ) -> GroupNormSums {
    let c = channels
    let sums = withPointers(s.mean, scales(s, affine), affine.offset) { mean, scale, bias in
      s.rstd.withUnsafeBufferPointer { rstds in
        let rstd = rstds.baseAddress!
        return chunkSums { b, p, sum, product in
          let i = (b * pixels + p.lowerBound) * c
          lf_group_norm_pullback_sums(
            x + i, mean + b * c, rstd + b * c, scale + b * c, bias + b * c, dy + i, sum, product,
            silu, p.count, c)
        }
      }
    }
    return GroupNormSums(batch: batch, channels: c, gradient: sums.first, product: sums.second)
  }

  /// dx = rstd·(ĝ − mean(ĝ) − x̂·mean(ĝ·x̂)), ĝ = g·gain, means over the sample's group.
  func pullback(
    _ x: UnsafePointer<Float>, _ s: GroupNormStatistics, _ affine: GroupNormAffine,
    _ dy: UnsafePointer<Float>, _ sums: GroupNormSums, into dx: UnsafeMutablePointer<Float>,
    beta: Float
  ) {
    let c = channels
    let (offsets, slopes) = pullbackCoefficients(s, affine, sums)
    withPointers(s.mean, scales(s, affine), affine.offset) { mean, scale, bias in
      withPointers(offsets, slopes) { offset, slope in
        forChunks { b, p, _ in
          let i = (b * pixels + p.lowerBound) * c
          lf_group_norm_pullback_apply(
            x + i, mean + b * c, scale + b * c, bias + b * c, offset + b * c, slope + b * c,
            dy + i, dx + i, beta, silu, p.count, c)
        }
      }
    }
  }

  /// −rstd·mean(ĝ) and −rstd²·mean(ĝ·x̂), [B, C] each.
  private func pullbackCoefficients(
    _ s: GroupNormStatistics, _ affine: GroupNormAffine, _ sums: GroupNormSums
  ) -> (offset: [Float], slope: [Float]) {
    let c = channels
    let n = Double(pixels * width)
    var offset = [Float](repeating: 0, count: batch * c)
    var slope = offset
    for b in 0..<batch {
      for g in 0..<groups {
        var (gradient, product) = (0.0, 0.0)
        for j in g * width..<(g + 1) * width {
          gradient += Double(affine.gain[b * c + j]) * sums.gradient[b * c + j]
          product += Double(affine.gain[b * c + j]) * sums.product[b * c + j]
        }
        let rstd = Double(s.rstd[b * c + g * width])
        for j in g * width..<(g + 1) * width {
          offset[b * c + j] = Float(-rstd * gradient / n)
          slope[b * c + j] = Float(-rstd * rstd * product / n)
        }
      }
    }
    return (offset, slope)
  }
}

/// The elements of arrays as pointers.
private func withPointers<Result>(
  _ first: [Float], _ second: [Float],
  _ body: (UnsafePointer<Float>, UnsafePointer<Float>) -> Result
) -> Result {
  first.withUnsafeBufferPointer { first in
    second.withUnsafeBufferPointer { body(first.baseAddress!, $0.baseAddress!) }
  }
}

private func withPointers<Result>(
  _ first: [Float], _ second: [Float], _ third: [Float],
  _ body: (UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>) -> Result
) -> Result {
  withPointers(first, second) { first, second in
    third.withUnsafeBufferPointer { body(first, second, $0.baseAddress!) }
  }
}
