import CKernels

// Pooling of networks that are only evaluated: none of these is recorded on a tape.

/// The largest value of each window.
///
/// - Parameters:
///   - x: [B, H, W, C]
///   - padding: pixels on all sides that a window may reach over the edge; they hold nothing.
/// - Returns: [B, H', W', C], H' = (H + 2·padding − window) / stride + 1.
public func maxPool(_ x: Tensor, window: Int, stride: Int, padding: Int = 0) -> Tensor {
  pool(x, window, stride, padding, lf_max_pool_row)
}

/// The mean over the pixels of each window that lie in the image (`count_include_pad` false in
/// PyTorch's terms).
///
/// - Parameters: as those of `maxPool`.
/// - Returns: [B, H', W', C]
public func averagePool(_ x: Tensor, window: Int, stride: Int, padding: Int = 0) -> Tensor {
  pool(x, window, stride, padding, lf_average_pool_row)
}

/// The mean over all pixels: [B, H, W, C] → [B, C].
public func meanOverPixels(_ x: Tensor) -> Tensor {
  precondition(x.shape.rank == 4 && x.tape == nil, "the mean over pixels of \(x.shape)")
  let (pixels, c) = (x.shape[1] * x.shape[2], x.shape[3])
  let y = Tensor(uninitialized: [x.shape[0], c])
  for b in 0..<x.shape[0] {
    Kernel.columnSums(
      x.base + b * pixels * c, rows: pixels, columns: c, into: y.base + b * c, beta: 0)
  }
  Kernel.scale(y.base, by: 1 / Float(pixels), into: y.base, beta: 0, count: y.count)
  withExtendedLifetime(x) {}
  return y
}

/// Maps of equal extents side by side: n × [B, H, W, C_i] → [B, H, W, Σ C_i].
public func joinedChannels(_ parts: [Tensor]) -> Tensor {
  let outer = parts[0].shape.dims.dropLast()
  precondition(
    parts.allSatisfy { $0.tape == nil && $0.shape.dims.dropLast() == outer },
    "cannot join the channels of \(parts.map(\.shape))")
  let total = parts.reduce(0) { $0 + $1.shape[-1] }
  let y = Tensor(uninitialized: Shape(outer + [total]))
  parallelFor(y.shape.rows, grain: max(1, Kernel.grain / total)) { rows in
    var start = 0
    for part in parts {
      let c = part.shape[-1]
      let (from, to) = (part.base, y.base + start)
      for row in rows { (to + row * total).update(from: from + row * c, count: c) }
      start += c
    }
  }
  withExtendedLifetime(parts) {}
  return y
}

private typealias RowKernel = (
  UnsafePointer<Float>?, UnsafeMutablePointer<Float>?, Int, Int, Int, Int, Int, Int, Int, Int
) -> Void

private func pool(
  _ x: Tensor, _ window: Int, _ stride: Int, _ padding: Int, _ row: RowKernel
) -> Tensor {
  precondition(
    x.shape.rank == 4 && x.tape == nil && stride >= 1 && 0 <= padding && 2 * padding <= window
      && x.shape[1] + 2 * padding >= window && x.shape[2] + 2 * padding >= window,
    "pooling of \(x.shape) by windows of \(window), stride \(stride), padding \(padding)")
  let (h, w, c) = (x.shape[1], x.shape[2], x.shape[3])
  let outHeight = (h + 2 * padding - window) / stride + 1
  let outWidth = (w + 2 * padding - window) / stride + 1
  let y = Tensor(uninitialized: [x.shape[0], outHeight, outWidth, c])
  parallelFor(x.shape[0] * outHeight, grain: max(1, Kernel.grain / (outWidth * c))) { rows in
    for index in rows {
      let (b, i) = index.quotientAndRemainder(dividingBy: outHeight)
      row(
        x.base + b * h * w * c, y.base + index * outWidth * c, h, w, c, i * stride - padding,
        outWidth, window, stride, padding)
    }
  }
  withExtendedLifetime(x) {}
  return y
}
