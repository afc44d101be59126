import Foundation

// The moments of the latents of a cache: sums per shard, so that shards may be made anywhere, and
// what they come to, added in the order of the shards.

extension LatentCacheDescription {
  /// Per channel the sums of mean, mean² and exp(logvar), unscaled, in row order.
  func channelSums(_ data: MomentRows, rows: Int) -> [[Double]] {
    let channels = latentShape[2]
    let positions = rows * rowCount / channels
    var sums = [[Double]](repeating: [Double](repeating: 0, count: channels), count: 3)
    for c in 0..<channels {
      var (sum, squares, variances) = (0.0, 0.0, 0.0)
      for p in 0..<positions {
        let value = Double(data.mean[p * channels + c])
        sum += value
        squares += value * value
        if let logvar = data.logvar { variances += exp(Double(logvar[p * channels + c])) }
      }
      sums[0][c] = sum
      sums[1][c] = squares
      sums[2][c] = variances
    }
    return sums
  }
}

/// Per channel mean and standard deviation of the scaled latents.
///
/// - Parameter sums: `channelSums` of every shard.
func channelStatistics(
  _ sums: [[[Double]]], _ parts: [LatentCacheDescription]
) -> (means: [Double], deviations: [Double]) {
  let (channels, scale) = (parts[0].latentShape[2], parts[0].scaleFactor)
  var total = [[Double]](repeating: [Double](repeating: 0, count: channels), count: 3)
  for shard in sums {
    for k in 0..<3 {
      for c in 0..<channels { total[k][c] += shard[k][c] }
    }
  }
  let rows = parts.reduce(0) { $0 + $1.count }
  let n = Double(rows * parts[0].rowCount / channels)
  let means = total[0].map { $0 / n }
  let deviations = (0..<channels).map { c in
    (max(0, total[1][c] / n - means[c] * means[c]) + total[2][c] / n).squareRoot()
  }
  return (means.map { $0 * scale }, deviations.map { $0 * scale })
}
