import FlowNN
import FlowTensor

// The layers of the autoencoder over some rows of a map. Each gives for a row the numbers that it
// has in the whole map, whatever strip the row is computed in: convolutions get the rows beside a
// strip and zeros only at the map's own edges, group norms the statistics of the whole map, and
// products of pixels by matrices are computed row by row, because their bits depend on how many
// pixels there are.

extension GroupNorm {
  /// f(norm(x)) by the statistics of the whole map, in place where `x` is no stored map.
  func callAsFunction(
    _ x: Tensor, _ statistics: GroupStatistics, activation: Activation, inPlace: Bool
  ) -> Tensor {
    let y = inPlace ? x : Tensor(uninitialized: x.shape)
    groupNorm(
      x, statistics: statistics, weight: weight.tensor, bias: bias.tensor, activation: activation,
      into: y)
    return y
  }
}

extension Convolution {
  /// Rows `range` of a 3×3 convolution of stride 1 over a map of `height` rows.
  ///
  /// - Parameter x: the rows `range.widened(by: 1, in: height)`, [1, n, W, in]
  /// - Returns: [1, n, W, out]
  func rows(_ range: Range<Int>, of height: Int, _ x: Tensor) -> Tensor {
    let padding = Padding(
      top: range.lowerBound == 0 ? 1 : 0, left: 1, bottom: range.upperBound == height ? 1 : 0,
      right: 1)
    return convolution(x, weight: weight.tensor, bias: bias?.tensor, padding: padding)
  }

  /// Rows `range` of a 3×3 convolution of stride 2 with zeros below and to the right, over a map of
  /// `height` rows.
  ///
  /// - Parameter x: the rows `halvedRows(range, of: height)`, [1, n, W, in]
  /// - Returns: [1, m, W/2, out]
  func halved(_ range: Range<Int>, of height: Int, _ x: Tensor) -> Tensor {
    let padding = Padding(
      top: 0, left: 0, bottom: 2 * range.upperBound == height ? 1 : 0, right: 1)
    return convolution(x, weight: weight.tensor, bias: bias?.tensor, stride: 2, padding: padding)
  }

  static func halvedRows(_ range: Range<Int>, of height: Int) -> Range<Int> {
    2 * range.lowerBound..<Swift.min(2 * range.upperBound + 1, height)
  }

  /// A 1×1 convolution.
  func pointwise(_ x: Tensor) -> Tensor {  // [1, n, W, in] → [1, n, W, out]
    rowByRow(x, outputs: weight.shape[0]) { row in
      linear(row, weight: weight.tensor, bias: bias?.tensor)
    }
  }
}

extension Linear {
  func rowByRow(_ x: Tensor) -> Tensor {  // [1, n, W, in] → [1, n, W, out]
    FlowModels.rowByRow(x, outputs: weight.shape[0]) { self($0) }
  }
}

/// `body` of every row [W, in] of a map, [1, n, W, out].
private func rowByRow(_ x: Tensor, outputs: Int, _ body: (Tensor) -> Tensor) -> Tensor {
  let (n, width, inputs) = (x.shape[1], x.shape[2], x.shape[3])
  let y = Tensor(uninitialized: [1, n, width, outputs])
  for r in 0..<n {
    let row = Tensor(
      storage: x.storage, offset: x.offset + r * width * inputs, shape: [width, inputs])
    let result = body(row)
    (y.base + r * width * outputs).update(from: result.base, count: width * outputs)
    withExtendedLifetime(result) {}
  }
  return y
}

extension RowSource {
  /// This map up-sampled by two and convolved, computed when asked for.
  func upsampled(by convolution: Convolution) -> RowSource {
    RowSource(
      height: 2 * height, width: 2 * width, channels: convolution.weight.shape[0], isStored: false
    ) { range in
      // Row j sees rows j − 1 … j + 1 of the up-sampled map, those half as far down of this one.
      let low = Swift.max(0, (range.lowerBound + 1) / 2 - 1)
        ..< Swift.min(height, range.upperBound / 2 + 1)
      let y = convolution.afterUpsampling(rows(low))
      let row = y.shape[2] * y.shape[3]
      return Tensor(
        storage: y.storage, offset: (range.lowerBound - 2 * low.lowerBound) * row,
        shape: [1, range.count, y.shape[2], y.shape[3]])
    }
  }

  /// conv(silu(norm(·))) of this map, computed when asked for.
  func activated(
    _ norm: GroupNorm, _ statistics: GroupStatistics, _ convolution: Convolution
  ) -> RowSource {
    RowSource(
      height: height, width: width, channels: convolution.weight.shape[0], isStored: false
    ) { range in
      let wide = rows(range.widened(by: 1, in: height))
      return convolution.rows(
        range, of: height,
        norm(wide, statistics, activation: .silu, inPlace: !isStored))
    }
  }

  /// A 3×3 convolution of this map, computed when asked for.
  func convolved(_ convolution: Convolution) -> RowSource {
    RowSource(
      height: height, width: width, channels: convolution.weight.shape[0], isStored: false
    ) { range in
      convolution.rows(range, of: height, rows(range.widened(by: 1, in: height)))
    }
  }

  /// A convolution of this map that halves its extents, computed when asked for.
  func halved(_ convolution: Convolution) -> RowSource {
    RowSource(
      height: height / 2, width: width / 2, channels: convolution.weight.shape[0], isStored: false
    ) { range in
      convolution.halved(
        range, of: height, rows(Convolution.halvedRows(range, of: height)))
    }
  }
}
