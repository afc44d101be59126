/// Cuts feature maps into patches: the columns that a patch-embedding convolution sees.
///
/// - Parameter x: [B, H, W, C]
/// - Returns: [B, (H/p)·(W/p), C·p·p], columns in the order (channel, row, column), which is that
///   of a convolution weight [D, C, p, p].
public func patchify(_ x: Tensor, patch p: Int) -> Tensor {
  precondition(
    x.shape.rank == 4 && x.shape[1] % p == 0 && x.shape[2] % p == 0,
    "patchify: \(x.shape) does not divide into patches of \(p)")
  let g = PatchGrid(x.shape, patch: p)
  let y = Tensor(uninitialized: [g.b, g.rows * g.columns, g.c * p * p])
  g.forEach { map, token, channelFirst, _ in y.base[token + channelFirst] = x.base[map] }
  guard let tape = x.tape else { return y }
  let dxs = x.gradient
  return tape.record(y) { dy in
    dxs?.add { dx, beta in
      g.forEach { map, token, channelFirst, _ in
        dx[map] = (beta == 0 ? 0 : dx[map]) + dy.base[token + channelFirst]
      }
    }
  }
}

/// Puts patches together again: the inverse, with columns in the order (row, column, channel).
///
/// - Parameter x: [B, (H/p)·(W/p), p·p·C]
/// - Returns: [B, H, W, C]
public func unpatchify(_ x: Tensor, patch p: Int, height: Int, width: Int) -> Tensor {
  let c = x.shape[-1] / (p * p)
  let shape: Shape = [x.shape[0], height, width, c]
  precondition(
    height % p == 0 && width % p == 0 && x.count == shape.count,
    "unpatchify: \(x.shape) to \(shape) with patches of \(p)")
  let g = PatchGrid(shape, patch: p)
  let y = Tensor(uninitialized: shape)
  g.forEach { map, token, _, channelLast in y.base[map] = x.base[token + channelLast] }
  guard let tape = x.tape else { return y }
  let dxs = x.gradient
  return tape.record(y) { dy in
    dxs?.add { dx, beta in
      g.forEach { map, token, _, channelLast in
        dx[token + channelLast] = (beta == 0 ? 0 : dx[token + channelLast]) + dy.base[map]
      }
    }
  }
}

private struct PatchGrid {
  let b: Int, rows: Int, columns: Int, c: Int, p: Int

  init(_ shape: Shape, patch: Int) {
    (b, rows, columns, c, p) = (shape[0], shape[1] / patch, shape[2] / patch, shape[3], patch)
  }

  /// Visits every element once with its place in the map, the start of its token, and its column in
  /// channel-first and in channel-last order.
  @inline(__always)
  func forEach(_ body: (_ map: Int, _ token: Int, _ channelFirst: Int, _ channelLast: Int) -> Void)
  {
    let width = columns * p
    for i in 0..<b * rows * columns {
      let (sample, row, column) = (i / (rows * columns), i / columns % rows, i % columns)
      let token = i * c * p * p
      for u in 0..<p {
        let map = ((sample * rows * p + row * p + u) * width + column * p) * c
        for v in 0..<p {
          for k in 0..<c {
            body(map + v * c + k, token, (k * p + u) * p + v, (u * p + v) * c + k)
          }
        }
      }
    }
  }
}
