import CBLAS
import FlowTensor

/// A linear support vector machine with squared hinge loss:
/// min ½‖w‖² + C·Σ max(0, 1 − y·(w·x))², x with a last component 1 for the bias.
///
/// The objective is strictly convex and piecewise quadratic, so that Newton's method on the rows
/// inside the margin, with halved steps where a full one does not descend, ends at the only minimum
/// after a few iterations: no draw, no order of rows, no tolerance that a figure would depend on.
/// Keerthi & DeCoste 2005, «A modified finite Newton method for fast solution of large scale linear
/// SVMs», JMLR 6.
public struct LinearSVM: Sendable {
  /// [D + 1]; the last is the bias.
  public let weights: [Double]
  public let iterations: Int

  /// - Parameters:
  ///   - positive, negative: [N, D] and [M, D]
  ///   - penalty: C
  public init(positive: Tensor, negative: Tensor, penalty: Double = 1) {
    precondition(
      positive.shape.rank == 2 && negative.shape.rank == 2
        && positive.shape[1] == negative.shape[1] && penalty > 0,
      "a linear SVM between \(positive.shape) and \(negative.shape)")
    let problem = Problem(sets: [(positive, 1), (negative, -1)], penalty: penalty)
    var w = [Double](repeating: 0, count: problem.dimension)
    var objective = problem.objective(w)
    var iteration = 0
    while iteration < 100 {
      iteration += 1
      let (gradient, hessian) = problem.derivatives(w)
      let direction = solved(hessian, gradient)
      let slope = zip(gradient, direction).reduce(0.0) { $0 + $1.0 * $1.1 }
      // Half the square of Newton's decrement is what is left to gain.
      if 0.5 * slope <= 1e-14 * max(objective, .leastNormalMagnitude) { break }
      var step = 1.0
      var next = w
      var value = objective
      repeat {
        next = zip(w, direction).map { $0 - step * $1 }
        value = problem.objective(next)
        step /= 2
      } while value > objective - 1e-4 * 2 * step * slope && step > 1e-10
      if value >= objective { break }  // round-off decides: this is the minimum
      (w, objective) = (next, value)
    }
    (weights, iterations) = (w, iteration)
  }

  /// w·x + bias for each row of [N, D]; positive on the positive side.
  public func scores(_ features: Tensor) -> [Double] {
    let d = weights.count - 1
    precondition(
      features.shape.rank == 2 && features.shape[1] == d,
      "scores of \(features.shape) by an SVM of \(d) features")
    return FlowMetrics.scores(features, weights)
  }
}

/// Rows with the bias' component, and their signs.
private struct Problem {
  let sets: [(features: Tensor, sign: Double)]
  let penalty: Double

  var dimension: Int { sets[0].features.shape[1] + 1 }

  func objective(_ w: [Double]) -> Double {
    let losses = sets.map { features, sign in
      scores(features, w).reduce(0.0) {
        let violation = max(0, 1 - sign * $1)
        return $0 + violation * violation
      }
    }
    return 0.5 * w.reduce(0.0) { $0 + $1 * $1 } + penalty * losses.reduce(0, +)
  }

  /// Gradient w − 2C·Σ y·violation·x, and the upper triangle of I + 2C·Σ x·xᵀ, over the rows
  /// inside the margin.
  func derivatives(_ w: [Double]) -> (gradient: [Double], hessian: [Double]) {
    let n = dimension
    var gradient = w
    var hessian = [Double](repeating: 0, count: n * n)
    for i in 0..<n { hessian[i * n + i] = 1 }
    for (features, sign) in sets {
      let violations = scores(features, w).map { max(0, 1 - sign * $0) }
      let inside = violations.indices.filter { violations[$0] > 0 }
      for start in stride(from: 0, to: inside.count, by: MomentStream.blockRows) {
        let rows = inside[start..<min(inside.count, start + MomentStream.blockRows)]
        var block: [Double] = []
        block.reserveCapacity(rows.count * n)
        for r in rows {
          let row = features.base + r * (n - 1)
          for c in 0..<n - 1 { block.append(Double(row[c])) }
          block.append(1)
          let factor = 2 * penalty * sign * violations[r]
          for c in 0..<n { gradient[c] -= factor * block[block.count - n + c] }
        }
        cblas_dsyrk(
          CblasRowMajor, CblasUpper, CblasTrans, blasint(n), blasint(rows.count), 2 * penalty,
          block, blasint(n), 1, &hessian, blasint(n))
      }
    }
    return (gradient, hessian)
  }
}

/// Rows times weights, the last weight being the bias.
private func scores(_ features: Tensor, _ w: [Double]) -> [Double] {
  let (count, d) = (features.shape[0], features.shape[1])
  var result = [Double](repeating: 0, count: count)
  result.withUnsafeMutableBufferPointer { result in
    w.withUnsafeBufferPointer { w in
      let (out, weight) = (result.baseAddress!, w.baseAddress!)
      parallelFor(count, grain: max(1, 16_384 / d)) { rows in
        for r in rows {
          let row = features.base + r * d
          out[r] = (0..<d).reduce(weight[d]) { $0 + Double(row[$1]) * weight[$1] }
        }
      }
    }
  }
  withExtendedLifetime(features) {}
  return result
}
