import FlowNN
import FlowTensor

/// What a step needs in memory and work on the rank that has most rows.
struct StripCost {
  /// Bytes at the worst moment: the maps that are stored, and the tensors of one strip.
  var bytes: Int
  /// Multiply-adds.
  var work: Double
}

/// The extents of the map in front of a step, and what follows from them.
struct StripExtents {
  var height: Int
  var width: Int
  var channels: Int
  let shares: RowShares

  /// Rows of the rank that has most: all ranks plan alike, whatever their own share.
  var own: Int { shares.mostRows(height: height) }

  /// Bytes of a map of these extents that is stored.
  var stored: Int { RowMap.storedRows(own) * width * channels * MemoryLayout<Float>.stride }

  /// Bytes of a tensor of so many rows.
  func bytes(rows: Int, channels: Int? = nil) -> Int {
    pooledBytes(count: min(rows, own + 2 * RowShares.halo) * width * (channels ?? self.channels))
  }

  /// After a step.
  func after(_ step: StripStep) -> StripExtents {
    var result = self
    switch step {
    case .convolve(let convolution): result.channels = convolution.weight.shape[0]
    case .residual(let block, let upsampling):
      if upsampling != nil { (result.height, result.width) = (2 * height, 2 * width) }
      result.channels = block.conv2.weight.shape[0]
    case .attend: break
    case .halve: (result.height, result.width) = (height / 2, width / 2)
    case .finish(_, let convolution): result.channels = convolution.weight.shape[0]
    }
    return result
  }

  func cost(of step: StripStep, _ choice: StripChoice) -> StripCost {
    let y = after(step)
    switch step {
    case .convolve(let convolution):
      return StripCost(
        bytes: y.stored + y.bytes(rows: choice.rows) + convolution.packedBytes, work: 0)
    case .halve(let convolution):
      return StripCost(
        bytes: stored + y.stored + y.bytes(rows: choice.rows) + convolution.packedBytes, work: 0)
    case .attend: return StripCost(bytes: stored + attentionBytes, work: 0)
    case .finish(_, let convolution):
      let whole = pooledBytes(count: y.height * y.width * y.channels)
      return StripCost(
        bytes: stored + whole + bytes(rows: choice.rows + 2) + y.bytes(rows: choice.rows)
          + convolution.packedBytes,
        work: 0)
    case .residual(let block, let upsampling):
      guard let upsampling else { return residual(block, y, choice) }
      return residual(block, after: upsampling, y, choice)
    }
  }

  /// Keys and values of all tokens, the scores of one row of queries, and some rows.
  private var attentionBytes: Int {
    let tokens = height * width
    let scores = min(width, max(256, 262_144 / tokens)) * tokens
    return 2 * pooledBytes(count: tokens * channels) + pooledBytes(count: scores)
      + 6 * bytes(rows: 1) + 4 * pooledBytes(count: channels * channels)
  }

  /// - Parameter y: the extents of the result
  private func residual(
    _ block: AutoencoderResidual, _ y: StripExtents, _ choice: StripChoice
  ) -> StripCost {
    let n = choice.rows
    let first = bytes(rows: n + 2) + y.bytes(rows: n) + block.conv1.packedBytes
    let again = bytes(rows: n + 4) + y.bytes(rows: n + 2) + block.conv1.packedBytes
    let second = y.bytes(rows: n) + block.conv2.packedBytes + block.straightBytes(n, y)
    let maps = stored + (block.shortcut == nil ? 0 : y.stored)
    let (one, two) = (block.conv1.work(y), block.conv2.work(y))
    guard !choice.storesHidden else {
      return StripCost(
        bytes: maps + y.stored + max(first, y.bytes(rows: n + 2) + second),
        work: one + two)
    }
    return StripCost(
      bytes: maps + max(first, again + second),
      work: one * (1 + Double(n + 2) / Double(n)) + two)
  }

  /// With a convolution of the up-sampled map in front.
  private func residual(
    _ block: AutoencoderResidual, after upsampling: Convolution, _ y: StripExtents,
    _ choice: StripChoice
  ) -> StripCost {
    var up = y
    up.channels = channels
    let n = choice.rows
    let once = upsampling.work(up) * 4 / 9
    let folded = 2 * pooledBytes(count: 16 * channels * channels)
    guard !choice.storesUpsampled else {
      var inner = up.residual(block, y, choice)
      inner.bytes = max(inner.bytes, stored + up.stored + up.bytes(rows: n + 4) + folded)
      inner.work += once * Double(n + 4) / Double(n)
      return inner
    }
    // Rows of the up-sampled map are computed for both passes over the statistics, for the hidden
    // map again if that is not stored, and for the shortcut.
    let passes = choice.storesHidden ? 3.0 : 4.0
    let work = passes * once * Double(n + 6) / Double(n)
    let (one, two) = (block.conv1.work(y), block.conv2.work(y))
    let first = up.bytes(rows: n + 8) + folded + y.bytes(rows: n) + block.conv1.packedBytes
    let again = first + y.bytes(rows: n + 2)
    let second = y.bytes(rows: n) + block.conv2.packedBytes + up.bytes(rows: n + 4) + folded
      + block.straightBytes(n, y)
    let maps = stored + y.stored
    guard !choice.storesHidden else {
      return StripCost(
        bytes: maps + y.stored + max(first, y.bytes(rows: n + 2) + second),
        work: work + one + two)
    }
    return StripCost(
      bytes: maps + again + second,
      work: work + one * (1 + Double(n + 2) / Double(n)) + two)
  }
}

extension Convolution {
  /// The weights in the order that the product wants, channels rounded up to its vectors.
  fileprivate var packedBytes: Int {
    let channels = (weight.shape[0] + 15) / 16 * 16 * ((weight.shape[1] + 15) / 16 * 16)
    return pooledBytes(count: channels * weight.shape[2] * weight.shape[3])
  }

  /// Multiply-adds of one rank's rows of the result.
  fileprivate func work(_ y: StripExtents) -> Double {
    Double(weight.shape.count) * Double(y.own * y.width)
  }
}

extension AutoencoderResidual {
  /// The first x of a strip, through the shortcut where there is one.
  fileprivate func straightBytes(_ rows: Int, _ y: StripExtents) -> Int {
    shortcut == nil ? 0 : y.bytes(rows: rows) + y.bytes(rows: 1)
  }
}
