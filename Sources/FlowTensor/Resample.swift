import CKernels

/// Every pixel becomes four equal ones.
///
/// - Parameter x: [B, H, W, C]
/// - Returns: [B, 2·H, 2·W, C]
public func upsampleNearest2(_ x: Tensor) -> Tensor {
  precondition(x.shape.rank == 4, "upsampleNearest2 of [B, H, W, C] \(x.shape)")
  let s = x.shape
  let y = Tensor(uninitialized: [s[0], 2 * s[1], 2 * s[2], s[3]])
  Kernel.upsample2(x.base, into: y.base, rows: s[0] * s[1], width: s[2], channels: s[3])
  guard let tape = x.tape else { return y }
  let dxs = x.gradient
  return tape.record(y) { dy in
    dxs?.add { d, beta in
      Kernel.sum2x2(
        dy.base, scale: 1, into: d, beta: beta, rows: s[0] * s[1], width: s[2], channels: s[3])
    }
  }
}

/// The mean of every 2×2 square.
///
/// - Parameter x: [B, H, W, C], H and W even
/// - Returns: [B, H/2, W/2, C]
public func downsampleAverage2(_ x: Tensor) -> Tensor {
  let s = halved(x)
  let y = Tensor(uninitialized: s)
  Kernel.sum2x2(
    x.base, scale: 0.25, into: y.base, beta: 0, rows: s[0] * s[1], width: s[2], channels: s[3])
  guard let tape = x.tape else { return y }
  let dxs = x.gradient
  return tape.record(y) { dy in
    dxs?.add { d, beta in
      Kernel.spread2x2(
        dy.base, scale: 0.25, into: d, beta: beta, rows: s[0] * s[1], width: s[2], channels: s[3])
    }
  }
}

/// The upper left pixel of every 2×2 square: nearest-neighbour halving as PyTorch's
/// `interpolate(mode: nearest)` has it.
///
/// - Parameter x: [B, H, W, C], H and W even
/// - Returns: [B, H/2, W/2, C]
public func downsampleNearest2(_ x: Tensor) -> Tensor {
  let s = halved(x)
  let y = Tensor(uninitialized: s)
  forPixels(of: s) { high, low in
    (y.base + low).update(from: x.base + high, count: s[3])
  }
  guard let tape = x.tape else { return y }
  let dxs = x.gradient
  return tape.record(y) { dy in
    dxs?.add { d, beta in
      if beta == 0 { d.update(repeating: 0, count: 4 * s.count) }
      forPixels(of: s) { high, low in lf_accumulate(dy.base + low, d + high, 1, s[3]) }
    }
  }
}

/// Every second pixel behind the filter [1, 3, 3, 1]/8 along both axes, zeros around the image.
/// Zhang 2019, «Making convolutional networks shift-invariant again», arXiv 1904.11486.
///
/// - Parameters:
///   - x: [B, H, W, C], H and W even
///   - padding: 1 keeps the centre; 0 for an image that brings the pixels around it
/// - Returns: [B, H/2 − 1 + padding, W/2 − 1 + padding, C]
public func downsampleBinomial(_ x: Tensor, padding: Int) -> Tensor {
  precondition(
    x.shape.rank == 4 && x.shape[1] % 2 == 0 && x.shape[2] % 2 == 0 && (0...1).contains(padding),
    "downsampleBinomial of [B, H, W, C] \(x.shape): H and W must be even")
  let plan = BinomialPlan(x.shape, padding: padding)
  let y = Tensor(uninitialized: plan.low)
  plan.down(x.base, scale: 1, into: y.base, beta: 0)
  guard let tape = x.tape else { return y }
  let dxs = x.gradient
  return tape.record(y) { dy in
    dxs?.add { d, beta in plan.up(dy.base, scale: 1, into: d, beta: beta) }
  }
}

/// Doubling by the same filter: the transpose of `downsampleBinomial`, times 4.
///
/// - Parameter x: [B, H, W, C]
/// - Returns: [B, 2·H, 2·W, C]
public func upsampleBinomial(_ x: Tensor) -> Tensor {
  precondition(x.shape.rank == 4, "upsampleBinomial of [B, H, W, C] \(x.shape)")
  let s = x.shape
  let plan = BinomialPlan([s[0], 2 * s[1], 2 * s[2], s[3]], padding: 1)
  let y = Tensor(uninitialized: plan.high)
  plan.up(x.base, scale: 4, into: y.base, beta: 0)
  guard let tape = x.tape else { return y }
  let dxs = x.gradient
  return tape.record(y) { dy in
    dxs?.add { d, beta in plan.down(dy.base, scale: 4, into: d, beta: beta) }
  }
}

/// The filter between a high and a low resolution, and its transpose.
private struct BinomialPlan {
  let high: Shape
  let low: Shape
  let padding: Int

  init(_ high: Shape, padding: Int) {
    self.high = high
    self.padding = padding
    let half = padding - 1
    low = [high[0], high[1] / 2 + half, high[2] / 2 + half, high[3]]
  }

  func down(
    _ x: UnsafePointer<Float>, scale: Float, into y: UnsafeMutablePointer<Float>, beta: Float
  ) {
    parallelFor(low[0] * low[1], grain: grain(low)) { r in
      lf_binomial_down(
        x, high[1], high[2], padding, scale, y, beta, r.lowerBound, r.upperBound, low[3])
    }
  }

  func up(
    _ y: UnsafePointer<Float>, scale: Float, into x: UnsafeMutablePointer<Float>, beta: Float
  ) {
    parallelFor(high[0] * high[1], grain: grain(high)) { r in
      lf_binomial_up(
        y, high[1], high[2], padding, scale, x, beta, r.lowerBound, r.upperBound, high[3])
    }
  }

  private func grain(_ shape: Shape) -> Int {
    max(1, Kernel.grain / max(1, 4 * shape[2] * shape[3]))
  }
}

private func halved(_ x: Tensor) -> Shape {
  precondition(
    x.shape.rank == 4 && x.shape[1] % 2 == 0 && x.shape[2] % 2 == 0,
    "halving [B, H, W, C] \(x.shape): H and W must be even")
  return [x.shape[0], x.shape[1] / 2, x.shape[2] / 2, x.shape[3]]
}

/// Offsets of the upper left pixel of each square and of its low-resolution pixel.
private func forPixels(of low: Shape, _ body: (_ high: Int, _ low: Int) -> Void) {
  let (width, c) = (low[2], low[3])
  parallelFor(low[0] * low[1], grain: max(1, Kernel.grain / max(1, width * c))) { rows in
    for row in rows {
      for j in 0..<width { body((2 * row * 2 * width + 2 * j) * c, (row * width + j) * c) }
    }
  }
}

extension Kernel {
  /// `rows` and `width` are those of the low resolution throughout.
  fileprivate static func upsample2(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, rows: Int, width: Int,
    channels c: Int
  ) {
    parallelFor(rows, grain: max(1, grain / max(1, 4 * width * c))) { r in
      lf_upsample2(
        x + r.lowerBound * width * c, y + r.lowerBound * 4 * width * c, r.count, width, c)
    }
  }

  fileprivate static func sum2x2(
    _ x: UnsafePointer<Float>, scale: Float, into y: UnsafeMutablePointer<Float>, beta: Float,
    rows: Int, width: Int, channels c: Int
  ) {
    parallelFor(rows, grain: max(1, grain / max(1, 4 * width * c))) { r in
      lf_sum2x2(
        x + r.lowerBound * 4 * width * c, scale, y + r.lowerBound * width * c, beta, r.count,
        width, c)
    }
  }

  fileprivate static func spread2x2(
    _ x: UnsafePointer<Float>, scale: Float, into y: UnsafeMutablePointer<Float>, beta: Float,
    rows: Int, width: Int, channels c: Int
  ) {
    parallelFor(rows, grain: max(1, grain / max(1, 4 * width * c))) { r in
      lf_spread2x2(
        x + r.lowerBound * width * c, scale, y + r.lowerBound * 4 * width * c, beta, r.count,
        width, c)
    }
  }
}
