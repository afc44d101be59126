import FlowTensor

/// Channels first to channels last: [B, C, H, W] → [B, H, W, C]. For the edges (files, PyTorch);
/// not recorded on a tape.
public func nhwc(_ x: Tensor) -> Tensor {
  precondition(x.shape.rank == 4, "nhwc of shape \(x.shape), expected [B, C, H, W]")
  let (b, c, h, w) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
  let result = Tensor(uninitialized: [b, h, w, c])
  transpose(x.base, into: result.base, batch: b, rows: c, columns: h * w)
  return result
}

/// Channels last to channels first: [B, H, W, C] → [B, C, H, W]. Not recorded on a tape.
public func nchw(_ x: Tensor) -> Tensor {
  precondition(x.shape.rank == 4, "nchw of shape \(x.shape), expected [B, H, W, C]")
  let (b, h, w, c) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
  let result = Tensor(uninitialized: [b, c, h, w])
  transpose(x.base, into: result.base, batch: b, rows: h * w, columns: c)
  return result
}

/// [batch, rows, columns] → [batch, columns, rows].
private func transpose(
  _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, batch: Int, rows: Int,
  columns: Int
) {
  for b in 0..<batch {
    let from = source + b * rows * columns
    let to = target + b * rows * columns
    for row in 0..<rows {
      for column in 0..<columns { to[column * rows + row] = from[row * columns + column] }
    }
  }
}
