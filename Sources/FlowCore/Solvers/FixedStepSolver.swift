import FlowTensor

/// Runs any tableau on a grid of times that is known beforehand.
public struct FixedStepSolver: ODESolver {
  /// Where the steps begin and end.
  public enum Grid: Equatable, Sendable {
    /// The output times themselves.
    case outputTimes
    /// This many equal steps from the first to the last output time.
    case steps(Int)
    /// Steps of this length, the last one shorter where they do not fit. The number of steps is
    /// rounded in float32, as torchdiffeq does.
    case stepSize(Double)
  }

  public let tableau: ButcherTableau
  public let grid: Grid
  /// Evaluates the first stage of a step just after its start and a stage at its end just before
  /// (by one float32), for fields that jump at grid points.
  public let perturb: Bool

  public init(_ tableau: ButcherTableau, grid: Grid, perturb: Bool = false) {
    self.tableau = tableau
    self.grid = grid
    self.perturb = perturb
  }

  /// Output times between grid points are interpolated linearly.
  public func integrate(
    from x0: Tensor, through times: [Double], _ field: (Tensor, Tensor) throws -> Tensor
  ) throws -> Trajectory {
    let clock = SolverClock(times)
    let batch = x0.shape[0]
    let points = gridPoints(clock.outputs)
    let stageCount = tableau.weights.lastIndex { $0 != 0 }! + 1
    var states = [x0.copy()]
    var y = x0.copy()
    var next = Tensor(uninitialized: x0.shape)
    let stage = Tensor(uninitialized: x0.shape)

    for (start, end) in zip(points, points.dropFirst()) {
      let signedStep = Float(clock.sign * (end - start))
      var k: [Tensor] = []
      for i in 0..<stageCount {
        if i > 0 {
          let row = tableau.stages[i - 1].map { Float($0) * signedStep }
          linearCombination(y, k, coefficients: row, into: stage)
        }
        let t = stageTime(i, from: start, to: end, clock)
        k.append(try slope(i == 0 ? y : stage, Array(repeating: t, count: batch), field))
      }
      let weights = tableau.weights[..<stageCount].map { Float($0) * signedStep }
      linearCombination(y, k, coefficients: weights, into: next)
      while states.count < times.count, clock.outputs[states.count] <= end {
        let x = (clock.outputs[states.count] - start) / (end - start)
        states.append(x == 1 ? next.copy() : blend(y, next, Float(x)))
      }
      swap(&y, &next)
    }
    let calls = (points.count - 1) * stageCount
    return Trajectory(
      states: states, evaluations: Array(repeating: calls, count: batch), calls: calls)
  }

  private func stageTime(
    _ i: Int, from start: Double, to end: Double, _ clock: SolverClock
  ) -> Float {
    let node = tableau.nodes[i]
    let time = node == 1 ? end : start + node * (end - start)
    guard perturb else { return clock.callerTime(time) }
    return clock.callerTime(time, i == 0 ? .next : node == 1 ? .previous : .none)
  }

  private func gridPoints(_ outputs: [Double]) -> [Double] {
    let first = outputs[0]
    let last = outputs[outputs.count - 1]
    switch grid {
    case .outputTimes:
      return outputs
    case .steps(let count):
      precondition(count >= 1, "\(count) steps")
      return (0..<count).map { first + (last - first) * Double($0) / Double(count) } + [last]
    case .stepSize(let size):
      precondition(size > 0, "steps of size \(size)")
      let count = ((Float(last) - Float(first)) / Float(size) + 1).rounded(.up)
      return (0..<Int(count) - 1).map { first + Double($0) * size } + [last]
    }
  }

  /// a + x·(b − a)
  private func blend(_ a: Tensor, _ b: Tensor, _ x: Float) -> Tensor {
    let result = Tensor(uninitialized: a.shape)
    linearCombination(a, [b, a], coefficients: [x, -x], into: result)
    return result
  }
}
