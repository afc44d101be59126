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
  let c = x.shape[-1]
  precondition(
    x.shape.rank >= 2 && c % groups == 0 && weight.shape == [c] && bias.shape == [c],
    "groupNorm of \(x.shape) in \(groups) groups, weight \(weight.shape), bias \(bias.shape)")
  precondition(activation != .geluTanh, "groupNorm has no GELU behind it")
  let plan = GroupNormPlan(
    batch: x.shape[0], pixels: x.count / max(1, x.shape[0] * c), channels: c, groups: groups,
    activate: activation == .silu)
  let y = Tensor(uninitialized: x.shape)
  let statistics = plan.statistics(x.base, eps: eps)
  plan.apply(x.base, statistics, weight.base, bias.base, into: y.base)

  guard let tape = x.tape else { return y }
  let (xs, xo, dxs) = (x.storage, x.offset, x.gradient)
  let (ws, wo, dws) = (weight.storage, weight.offset, weight.gradient)
  let (bs, bo, dbs) = (bias.storage, bias.offset, bias.gradient)
  return tape.record(y, leaves: [dws, dbs]) { dy in
    let sums = plan.pullbackSums(xs.base + xo, statistics, ws.base + wo, bs.base + bo, dy.base)
    dws?.add { d, beta in sums.addWeightGradient(into: d, beta: beta) }
    dbs?.add { d, beta in sums.addBiasGradient(into: d, beta: beta) }
    dxs?.add { d, beta in
      plan.pullback(
        xs.base + xo, statistics, ws.base + wo, bs.base + bo, dy.base, sums, into: d, beta: beta)
    }
  }
}

/// Mean and 1/σ of every sample and channel, [B, C] each, equal within a group.
private struct GroupNormStatistics {
  var mean: [Float]
  var rstd: [Float]
}

/// Σ g and Σ g·x̂ over the pixels of every sample and channel, [B, C] each; g is the gradient with
/// respect to x̂·weight + bias.
private struct GroupNormSums {
  let batch: Int
  let channels: Int
  var gradient: [Double]
  var product: [Double]

  func addWeightGradient(into d: UnsafeMutablePointer<Float>, beta: Float) {
    add(product, into: d, beta: beta)
  }

  func addBiasGradient(into d: UnsafeMutablePointer<Float>, beta: Float) {
    add(gradient, into: d, beta: beta)
  }

  private func add(_ sums: [Double], into d: UnsafeMutablePointer<Float>, beta: Float) {
    for c in 0..<channels {
      var total = 0.0
      for b in 0..<batch { total += sums[b * channels + c] }
      d[c] = Float(total) + (beta == 0 ? 0 : d[c])
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
  private func scales(_ s: GroupNormStatistics, _ weight: UnsafePointer<Float>) -> [Float] {
    s.rstd.indices.map { s.rstd[$0] * weight[$0 % channels] }
  }

  func apply(
    _ x: UnsafePointer<Float>, _ s: GroupNormStatistics, _ weight: UnsafePointer<Float>,
    _ bias: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>
  ) {
    let c = channels
    s.mean.withUnsafeBufferPointer { means in
      scales(s, weight).withUnsafeBufferPointer { scales in
        let (mean, scale) = (means.baseAddress!, scales.baseAddress!)
        forChunks { b, p, _ in
          let i = (b * pixels + p.lowerBound) * c
          lf_group_norm_apply(
            x + i, mean + b * c, scale + b * c, bias, y + i, silu, p.count, c)
        }
      }
    }
  }

  func pullbackSums(
    _ x: UnsafePointer<Float>, _ s: GroupNormStatistics, _ weight: UnsafePointer<Float>,
    _ bias: UnsafePointer<Float>, _ dy: UnsafePointer<Float>
  ) -> GroupNormSums {
    let c = channels
    let scales = scales(s, weight)
    let sums = s.mean.withUnsafeBufferPointer { means in
      s.rstd.withUnsafeBufferPointer { rstds in
        scales.withUnsafeBufferPointer { scales in
          let (mean, rstd, scale) = (means.baseAddress!, rstds.baseAddress!, scales.baseAddress!)
          return chunkSums { b, p, sum, product in
            let i = (b * pixels + p.lowerBound) * c
            lf_group_norm_pullback_sums(
              x + i, mean + b * c, rstd + b * c, scale + b * c, bias, dy + i, sum, product, silu,
              p.count, c)
          }
        }
      }
    }
    return GroupNormSums(batch: batch, channels: c, gradient: sums.first, product: sums.second)
  }

  /// dx = rstd·(ĝ − mean(ĝ) − x̂·mean(ĝ·x̂)), ĝ = g·weight, means over the sample's group.
  func pullback(
    _ x: UnsafePointer<Float>, _ s: GroupNormStatistics, _ weight: UnsafePointer<Float>,
    _ bias: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, _ sums: GroupNormSums,
    into dx: UnsafeMutablePointer<Float>, beta: Float
  ) {
    let c = channels
    let (offsets, slopes) = pullbackCoefficients(s, weight, sums)
    s.mean.withUnsafeBufferPointer { means in
      scales(s, weight).withUnsafeBufferPointer { scales in
        offsets.withUnsafeBufferPointer { offsets in
          slopes.withUnsafeBufferPointer { slopes in
            let (mean, scale) = (means.baseAddress!, scales.baseAddress!)
            let (offset, slope) = (offsets.baseAddress!, slopes.baseAddress!)
            forChunks { b, p, _ in
              let i = (b * pixels + p.lowerBound) * c
              lf_group_norm_pullback_apply(
                x + i, mean + b * c, scale + b * c, bias, offset + b * c, slope + b * c, dy + i,
                dx + i, beta, silu, p.count, c)
            }
          }
        }
      }
    }
  }

  /// −rstd·mean(ĝ) and −rstd²·mean(ĝ·x̂), [B, C] each.
  private func pullbackCoefficients(
    _ s: GroupNormStatistics, _ weight: UnsafePointer<Float>, _ sums: GroupNormSums
  ) -> (offset: [Float], slope: [Float]) {
    let c = channels
    let n = Double(pixels * width)
    var offset = [Float](repeating: 0, count: batch * c)
    var slope = offset
    for b in 0..<batch {
      for g in 0..<groups {
        var (gradient, product) = (0.0, 0.0)
        for j in g * width..<(g + 1) * width {
          gradient += Double(weight[j]) * sums.gradient[b * c + j]
          product += Double(weight[j]) * sums.product[b * c + j]
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
