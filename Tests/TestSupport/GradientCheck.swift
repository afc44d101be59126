import FlowTensor

/// What the tape says about one input of an operation, against central differences.
public struct GradientComparison: CustomStringConvertible {
  public let input: Int
  /// ‖tape − differences‖₂ / ‖differences‖₂ over the whole input; NaN fails every comparison.
  public let error: Double
  /// Flat index of the element that differs most, and both values there.
  public let worst: (index: Int, tape: Double, differences: Double)

  public var description: String {
    "input \(input): relative error \(error); at \(worst.index) tape \(worst.tape), "
      + "central differences \(worst.differences)"
  }
}

/// Compares the gradient of Σ r·f(inputs), r a fixed random tensor, with central differences.
///
/// Every input rides the tape, so `f` sees weights as it sees activations. The projection is summed
/// in Double; what is left is the round-off of `f` over `step` and the third derivative.
///
/// - Parameters:
///   - inputs: few elements each: `f` runs twice per element.
///   - step: half the distance of the two evaluations.
/// - Returns: one comparison per input, in order.
public func compareGradients(
  _ inputs: [Tensor], step: Float = 1e-2, seed: UInt64 = 7, _ f: ([Tensor]) -> Tensor
) -> [GradientComparison] {
  let tape = Tape()
  let riding = inputs.map { tape.ride($0) }
  let result = f(riding)
  let weights = Philox(seed: seed, stream: .mask).normal(result.shape)
  tape.backward(from: projected(result, on: weights))

  return inputs.indices.map { index in
    let x = inputs[index].detached.copy()
    var varied = inputs.map(\.detached)
    varied[index] = x
    let differences = (0..<x.count).map { i in
      let value = x.base[i]
      x.base[i] = value + step
      let (above, upper) = (x.base[i], dot(f(varied), weights))
      x.base[i] = value - step
      let (below, lower) = (x.base[i], dot(f(varied), weights))
      x.base[i] = value
      return (upper - lower) / (Double(above) - Double(below))
    }
    let gradient = riding[index].gradient?.values ?? [Float](repeating: 0, count: x.count)
    return comparison(input: index, gradient.map(Double.init), differences)
  }
}

/// Σ weights·x as a scalar that rides the tape of `x`: something to differentiate in a test.
public func projected(_ x: Tensor, on weights: Tensor) -> Tensor {
  precondition(x.count == weights.count, "\(x.shape) on weights of shape \(weights.shape)")
  let sum = Tensor([], [Float(dot(x, weights))])
  guard let tape = x.tape else { return sum }
  let (gradient, r) = (x.gradient, weights.storage)
  let (offset, count) = (weights.offset, weights.count)
  return tape.record(sum) { dy in
    gradient?.add { d, beta in
      for i in 0..<count {
        d[i] = (beta == 0 ? 0 : d[i]) + dy.base[0] * r.base[offset + i]
      }
    }
  }
}

/// ‖a − b‖₂ / ‖b‖₂ in Double.
public func relativeError(_ a: [Float], _ b: [Float]) -> Double {
  precondition(a.count == b.count, "\(a.count) elements against \(b.count)")
  return relativeError(a.map(Double.init), b.map(Double.init))
}

func relativeError(_ a: [Double], _ b: [Double]) -> Double {
  let difference = zip(a, b).reduce(0.0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
  let scale = b.reduce(0.0) { $0 + $1 * $1 }
  return difference == 0 ? 0 : (difference / scale).squareRoot()
}

private func comparison(
  input: Int, _ tape: [Double], _ differences: [Double]
) -> GradientComparison {
  let worst = tape.indices.max {
    abs(tape[$0] - differences[$0]) < abs(tape[$1] - differences[$1])
  }
  let at = worst.map { (index: $0, tape: tape[$0], differences: differences[$0]) }
  return GradientComparison(
    input: input, error: relativeError(tape, differences), worst: at ?? (0, 0, 0))
}

private func dot(_ x: Tensor, _ weights: Tensor) -> Double {
  (0..<x.count).reduce(0.0) { $0 + Double(x.base[$1]) * Double(weights.base[$1]) }
}
