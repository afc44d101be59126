import FlowTensor
import Foundation

/// Inception Score: exp of the mean divergence of p(class | image) from p(class), over parts.
/// Salimans et al. 2016, arXiv 1606.03498, section 4.
public struct InceptionScore: Equatable, Sendable {
  /// Over the parts.
  public let mean: Double
  /// Over the parts, divisor their number.
  public let deviation: Double

  /// - Parameters:
  ///   - probabilities: [N, Y], rows that sum to 1
  ///   - splits: parts of consecutive images; at most N.
  public init(probabilities: Tensor, splits: Int = 10) {
    self.init(probabilities, splits) { row, count, into in
      for i in 0..<count { into[i] = Double(row[i]) }
    }
  }

  /// - Parameter logits: [N, Y]; their softmax is taken in Double.
  public init(logits: Tensor, splits: Int = 10) {
    self.init(logits, splits) { row, count, into in
      let largest = (0..<count).reduce(-Float.infinity) { max($0, row[$1]) }
      var sum = 0.0
      for i in 0..<count {
        into[i] = exp(Double(row[i]) - Double(largest))
        sum += into[i]
      }
      for i in 0..<count { into[i] /= sum }
    }
  }

  private init(
    _ rows: Tensor, _ splits: Int,
    _ probabilities: (UnsafePointer<Float>, Int, UnsafeMutablePointer<Double>) -> Void
  ) {
    precondition(
      rows.shape.rank == 2 && splits >= 1 && rows.shape[0] >= splits,
      "an Inception Score of \(rows.shape) in \(splits) parts")
    let (n, classes) = (rows.shape[0], rows.shape[1])
    let scores = (0..<splits).map { part in
      var marginal = [Double](repeating: 0, count: classes)
      var row = [Double](repeating: 0, count: classes)
      var entropy = 0.0  // −Σ over images of the entropy of p(class | image)
      let range = part * n / splits..<(part + 1) * n / splits
      for i in range {
        probabilities(rows.base + i * classes, classes, &row)
        for c in 0..<classes where row[c] > 0 { entropy += row[c] * log(row[c]) }
        for c in 0..<classes { marginal[c] += row[c] }
      }
      let count = Double(range.count)
      let crossed = marginal.reduce(0.0) { $1 > 0 ? $0 + $1 * log($1 / count) : $0 }
      return exp((entropy - crossed) / count)
    }
    let mean = scores.reduce(0, +) / Double(splits)
    self.mean = mean
    let squares = scores.reduce(0.0) { $0 + ($1 - mean) * ($1 - mean) }
    deviation = (squares / Double(splits)).squareRoot()
    withExtendedLifetime(rows) {}
  }
}
