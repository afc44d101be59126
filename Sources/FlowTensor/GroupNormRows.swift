import CKernels

// Group normalisation of a feature map that is never whole: sums of its rows, statistics from
// the sums of all rows, and the normalisation of some rows by given statistics.
// Wu & He 2018, arXiv 1803.08494, eqs. 1–7.

/// Mean and 1/σ of every group of a feature map.
public struct GroupStatistics: Equatable, Sendable {
  /// [G]
  public let mean: [Float]
  /// [G]
  public let rstd: [Float]

  /// - Parameters:
  ///   - rowSums: what `groupNormRowSums` gave for all rows in their order, [H, G, 2]
  ///   - groups: G
  ///   - count: elements of one group in one row, W·C/G
  public init(rowSums: [Double], groups: Int, count: Int, eps: Float) {
    precondition(
      rowSums.count % (2 * groups) == 0, "\(rowSums.count) sums of rows in \(groups) groups")
    let n = Double(rowSums.count / (2 * groups) * count)
    var (means, rstds): ([Float], [Float]) = ([], [])
    for g in 0..<groups {
      var (sum, square) = (0.0, 0.0)
      for i in stride(from: 2 * g, to: rowSums.count, by: 2 * groups) {
        sum += rowSums[i]
        square += rowSums[i + 1]
      }
      let mean = sum / n
      means.append(Float(mean))
      rstds.append(Float(1 / (max(0, square / n - mean * mean) + Double(eps)).squareRoot()))
    }
    (mean, rstd) = (means, rstds)
  }
}

/// Σ x and Σ x² of every row and group, in Double: a function of the row alone, whatever strip it
/// came in and whoever computed it.
///
/// - Parameter x: [1, H, W, C], some rows of a map
/// - Returns: [H, G, 2]
public func groupNormRowSums(_ x: Tensor, groups: Int) -> [Double] {
  let (rows, width, c) = rowExtents(x, groups)
  let size = c / groups
  return [Double](unsafeUninitializedCapacity: rows * groups * 2) { result, filled in
    nonisolated(unsafe) let out = result.baseAddress!
    let base = x.base
    parallelFor(rows, grain: max(1, Kernel.grain / max(1, width * c))) { range in
      withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * c) { sums in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: c) { shifts in
          let (sum, square) = (sums.baseAddress!, sums.baseAddress! + c)
          for r in range {
            let row = base + r * width * c
            pilotMeans(row, width, c, size, into: shifts.baseAddress!)
            lf_group_norm_sums(row, shifts.baseAddress!, sum, square, width, c)
            for g in 0..<groups {
              let total = rowSum(sum, square, shifts.baseAddress!, g * size..<(g + 1) * size, width)
              out[(r * groups + g) * 2] = total.sum
              out[(r * groups + g) * 2 + 1] = total.square
            }
          }
        }
      }
    }
    filled = rows * groups * 2
  }
}

/// Σ x and Σ x² of a group from the sums of x − s and (x − s)².
private func rowSum(
  _ sums: UnsafePointer<Double>, _ squares: UnsafePointer<Double>, _ shifts: UnsafePointer<Float>,
  _ channels: Range<Int>, _ width: Int
) -> (sum: Double, square: Double) {
  var total = (sum: 0.0, square: 0.0)
  for j in channels {
    let s = Double(shifts[j])
    total.sum += sums[j] + Double(width) * s
    total.square += squares[j] + s * (2 * sums[j] + Double(width) * s)
  }
  return total
}

/// The mean of each group over up to 16 pixels of a row, so that the float sums cancel nothing.
private func pilotMeans(
  _ row: UnsafePointer<Float>, _ width: Int, _ c: Int, _ size: Int,
  into shifts: UnsafeMutablePointer<Float>
) {
  let count = min(16, width)
  for first in stride(from: 0, to: c, by: size) {
    var sum: Float = 0
    for k in 0..<count {
      let pixel = row + k * width / count * c + first
      for j in 0..<size { sum += pixel[j] }
    }
    (shifts + first).update(repeating: sum / Float(max(1, count * size)), count: size)
  }
}

/// f((x − mean)/σ·weight + bias) by the statistics of the whole map.
///
/// - Parameters:
///   - x: [1, H, W, C], some rows of a map
///   - weight, bias: [C]
///   - activation: `.none` or `.silu`
///   - y: of the shape of `x`; may be `x`
public func groupNorm(
  _ x: Tensor, statistics: GroupStatistics, weight: Tensor, bias: Tensor, activation: Activation,
  into y: Tensor
) {
  let groups = statistics.mean.count
  let (rows, width, c) = rowExtents(x, groups)
  precondition(
    x.tape == nil && y.shape == x.shape && weight.shape == [c] && bias.shape == [c],
    "groupNorm of \(x.shape) into \(y.shape), weight \(weight.shape), bias \(bias.shape)")
  precondition(activation != .geluTanh, "groupNorm has no GELU behind it")
  let size = c / groups
  let means = (0..<c).map { statistics.mean[$0 / size] }
  let scales = (0..<c).map { statistics.rstd[$0 / size] * weight.base[$0] }
  means.withUnsafeBufferPointer { means in
    scales.withUnsafeBufferPointer { scales in
      nonisolated(unsafe) let (mean, scale) = (means.baseAddress!, scales.baseAddress!)
      let (from, to, offset) = (x.base, y.base, bias.base)
      parallelFor(rows * width, grain: max(1, Kernel.grain / c)) { r in
        let i = r.lowerBound * c
        lf_group_norm_apply(
          from + i, mean, scale, offset, to + i, activation == .silu ? 1 : 0, r.count, c)
      }
    }
  }
}

private func rowExtents(_ x: Tensor, _ groups: Int) -> (rows: Int, width: Int, channels: Int) {
  precondition(
    x.shape.rank == 4 && x.shape[0] == 1 && x.shape[3] % groups == 0,
    "rows of a map [1, H, W, C] \(x.shape) in \(groups) groups")
  return (x.shape[1], x.shape[2], x.shape[3])
}
