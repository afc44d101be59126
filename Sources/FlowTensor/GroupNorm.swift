import CKernels

/// Group normalisation, channels last, with an optional SiLU behind it.
/// Wu & He 2018, arXiv 1803.08494, eqs. 1–7.
///
/// With a modulation, y = f((x̂·weight + bias)·(1 + scale) + shift), scale and shift shared by the
/// pixels of a sample: «adaptive group normalization» of Dhariwal & Nichol 2021, arXiv 2105.05233,
/// section 3. It costs no pass over the pixels of its own.
///
/// Statistics are those of one sample and group over all pixels, summed in Double over fixed
/// chunks of pixels in pixel order: the result does not depend on the number of threads. Only mean
/// and 1/σ are kept for the pullback.
///
/// - Parameters:
///   - x: [B, …, C], e.g. [B, H, W, C]
///   - weight, bias: [C]
///   - modulation: scale and shift, [B, C] each
///   - activation: `.none` or `.silu`
/// - Returns: [B, …, C]
public func groupNorm(
  _ x: Tensor, groups: Int, weight: Tensor, bias: Tensor,
  modulation: (scale: Tensor, shift: Tensor)? = nil, eps: Float = 1e-6,
  activation: Activation = .none
) -> Tensor {
  let (b, c) = (x.shape[0], x.shape[-1])
  precondition(
    x.shape.rank >= 2 && c % groups == 0 && weight.shape == [c] && bias.shape == [c],
    "groupNorm of \(x.shape) in \(groups) groups, weight \(weight.shape), bias \(bias.shape)")
  if let modulation {
    precondition(
      modulation.scale.shape == [b, c] && modulation.shift.shape == [b, c],
      "groupNorm of \(x.shape) modulated by \(modulation.scale.shape), \(modulation.shift.shape)")
  }
  precondition(activation != .geluTanh, "groupNorm has no GELU behind it")
  let plan = GroupNormPlan(
    batch: b, pixels: x.count / max(1, b * c), channels: c, groups: groups,
    activate: activation == .silu)
  let affine = GroupNormAffine(batch: b, weight, bias, modulation)
  let y = Tensor(uninitialized: x.shape)
  let statistics = plan.statistics(x.base, eps: eps)
  plan.apply(x.base, statistics, affine, into: y.base)

  guard let tape = x.tape else { return y }
  let (xs, xo, dxs) = (x.storage, x.offset, x.gradient)
  let (dws, dbs) = (weight.gradient, bias.gradient)
  let (dss, dhs) = (modulation?.scale.gradient, modulation?.shift.gradient)
  return tape.record(y, leaves: [dws, dbs, dss, dhs]) { dy in
    let sums = plan.pullbackSums(xs.base + xo, statistics, affine, dy.base)
    dws?.add { d, beta in affine.addOverBatch(sums.product, into: d, beta: beta) }
    dbs?.add { d, beta in affine.addOverBatch(sums.gradient, into: d, beta: beta) }
    dss?.add { d, beta in affine.addScaleGradient(sums, into: d, beta: beta) }
    dhs?.add { d, beta in
      for i in 0..<b * c { d[i] = Float(sums.gradient[i]) + (beta == 0 ? 0 : d[i]) }
    }
    dxs?.add { d, beta in
      plan.pullback(xs.base + xo, statistics, affine, dy.base, sums, into: d, beta: beta)
    }
  }
}

/// Mean and 1/σ of every sample and channel, [B, C] each, equal within a group.
private struct GroupNormStatistics {
  var mean: [Float]
  var rstd: [Float]
}

/// Σ g and Σ g·x̂ over the pixels of every sample and channel, [B, C] each; g is the gradient with
/// respect to what the affine map gives.
private struct GroupNormSums {
  var gradient: [Double]
  var product: [Double]
}

/// The affine map behind the normalisation, z = x̂·weight + bias with an own weight and bias for
/// every sample: weight·(1 + scale) and bias·(1 + scale) + shift.
private struct GroupNormAffine {
  let batch: Int
  /// Before modulation, [C].
  let plainWeight, plainBias: [Float]
  /// 1 + scale, [B, C]; nil without a modulation.
  let gain: [Float]?
  /// [B, C]
  let weight, bias: [Float]

  init(
    batch: Int, _ weight: Tensor, _ bias: Tensor, _ modulation: (scale: Tensor, shift: Tensor)?
  ) {
    let (w, b) = (weight.values, bias.values)
    let c = w.count
    self.batch = batch
    (plainWeight, plainBias) = (w, b)
    gain = modulation.map { m in m.scale.values.map { 1 + $0 } }
    if let gain, let shift = modulation?.shift.values {
      self.weight = gain.indices.map { w[$0 % c] * gain[$0] }
      self.bias = gain.indices.map { b[$0 % c] * gain[$0] + shift[$0] }
    } else {
      self.weight = Array(repeating: w, count: batch).flatMap { $0 }
      self.bias = Array(repeating: b, count: batch).flatMap { $0 }
    }
  }

  /// d[c] = beta·d[c] + Σ_b sums[b, c]·(1 + scale[b, c])
  func addOverBatch(_ sums: [Double], into d: UnsafeMutablePointer<Float>, beta: Float) {
    let c = plainWeight.count
    for j in 0..<c {
      var total = 0.0
      for i in stride(from: j, to: batch * c, by: c) {
        total += gain == nil ? sums[i] : sums[i] * Double(gain![i])
      }
      d[j] = Float(total) + (beta == 0 ? 0 : d[j])
    }
  }

  /// z = (x̂·w + b)·(1 + scale) + shift has the slope x̂·w + b in the scale.
  func addScaleGradient(
    _ sums: GroupNormSums, into d: UnsafeMutablePointer<Float>, beta: Float
  ) {
    let c = plainWeight.count
    for i in 0..<batch * c {
      let slope =
        Double(plainWeight[i % c]) * sums.product[i] + Double(plainBias[i % c]) * sums.gradient[i]
      d[i] = Float(slope) + (beta == 0 ? 0 : d[i])
    }
  }
}

private struct GroupNormPlan {
  let batch: Int
  let pixels: Int
  let channels: Int
  let groups: Int
  let activate: Bool

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

  /// rstd·weight, [B, C].
  private func scales(_ s: GroupNormStatistics, _ affine: GroupNormAffine) -> [Float] {
    zip(s.rstd, affine.weight).map { $0 * $1 }
  }

  func apply(
    _ x: UnsafePointer<Float>, _ s: GroupNormStatistics, _ affine: GroupNormAffine,
    into y: UnsafeMutablePointer<Float>
  ) {
    let c = channels
    withPointers(s.mean, scales(s, affine), affine.bias) { mean, scale, bias in
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
    let sums = withPointers(s.mean, scales(s, affine), affine.bias) { mean, scale, bias in
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
    return GroupNormSums(gradient: sums.first, product: sums.second)
  }

  /// dx = rstd·(ĝ − mean(ĝ) − x̂·mean(ĝ·x̂)), ĝ = g·weight, means over the sample's group.
  func pullback(
    _ x: UnsafePointer<Float>, _ s: GroupNormStatistics, _ affine: GroupNormAffine,
    _ dy: UnsafePointer<Float>, _ sums: GroupNormSums, into dx: UnsafeMutablePointer<Float>,
    beta: Float
  ) {
    let c = channels
    let (offsets, slopes) = pullbackCoefficients(s, affine, sums)
    withPointers(s.mean, scales(s, affine), affine.bias) { mean, scale, bias in
      withPointers(offsets, slopes, slopes) { offset, slope, _ in
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
        let range = b * c + g * width..<b * c + (g + 1) * width
        var (gradient, product) = (0.0, 0.0)
        for i in range {
          gradient += Double(affine.weight[i]) * sums.gradient[i]
          product += Double(affine.weight[i]) * sums.product[i]
        }
        let rstd = Double(s.rstd[range.lowerBound])
        for i in range {
          offset[i] = Float(-rstd * gradient / n)
          slope[i] = Float(-rstd * rstd * product / n)
        }
      }
    }
    return (offset, slope)
  }
}

/// The first elements of three arrays.
private func withPointers<Result>(
  _ a: [Float], _ b: [Float], _ c: [Float],
  _ body: (UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>) -> Result
) -> Result {
  a.withUnsafeBufferPointer { a in
    b.withUnsafeBufferPointer { b in
      c.withUnsafeBufferPointer { c in body(a.baseAddress!, b.baseAddress!, c.baseAddress!) }
    }
  }
}
