import CKernels

/// offset + scale·(x resized bilinearly), pixel centres at half-integers and no smoothing before
/// shrinking: PyTorch's `interpolate(mode: bilinear, align_corners: false)`. Not recorded.
///
/// - Parameter x: [B, H, W, C]
/// - Returns: [B, height, width, C]
public func resizedBilinear(
  _ x: Tensor, height: Int, width: Int, scale: Float = 1, offset: Float = 0
) -> Tensor {
  precondition(
    x.shape.rank == 4 && x.tape == nil && min(x.shape[1], x.shape[2], height, width) > 0,
    "a resize of \(x.shape) to \(height)×\(width)")
  let (h, w, c) = (x.shape[1], x.shape[2], x.shape[3])
  let (rows, columns) = (Taps(from: h, to: height), Taps(from: w, to: width))
  let y = Tensor(uninitialized: [x.shape[0], height, width, c])
  parallelFor(x.shape[0] * height, grain: max(1, Kernel.grain / (4 * width * c))) { range in
    for index in range {
      let (b, i) = index.quotientAndRemainder(dividingBy: height)
      let image = x.base + b * h * w * c
      lf_bilinear_row(
        image + Int(rows.lower[i]) * w * c, image + Int(rows.upper[i]) * w * c, rows.share[i],
        columns.lower, columns.upper, columns.share, y.base + index * width * c, width, c, offset,
        scale)
    }
  }
  withExtendedLifetime(x) {}
  return y
}

/// The two source pixels of each output pixel along one axis, and the second one's share.
private struct Taps {
  let lower: [Int32]
  let upper: [Int32]
  let share: [Float]

  init(from extent: Int, to size: Int) {
    let places = (0..<size).map { i in
      max(0, (Double(i) + 0.5) * Double(extent) / Double(size) - 0.5)
    }
    lower = places.map { Int32(min(extent - 1, Int($0))) }
    upper = lower.map { min(Int32(extent - 1), $0 + 1) }
    share = zip(places, lower).map { Float($0 - Double($1)) }
  }
}
