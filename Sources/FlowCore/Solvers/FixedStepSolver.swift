import FlowTensor

/// Runs any tableau on a grid of times that is known beforehand.
public struct FixedStepSolver: ODESolver, Equatable {
  public let tableau: ButcherTableau
  public let grid: StepGrid
  /// Evaluates the first stage of a step just after its start and a stage at its end just before
  /// (by one float32), for fields that jump at grid points.
  public let perturb: Bool

  public init(_ tableau: ButcherTableau, grid: StepGrid, perturb: Bool = false) {
    self.tableau = tableau
    self.grid = grid
    self.perturb = perturb
  }

  public var description: String {
    "\(tableau.name), \(grid)" + (perturb ? ", perturbed" : "")
  }

  /// Output times between grid points are interpolated linearly.
  public func integrate(
    from x0: Tensor, through times: [Double], _ field: (Tensor, Tensor) throws -> Tensor
  ) throws -> Trajectory {
    let clock = SolverClock(times)
    let points = grid.points(clock)
    let step = RungeKuttaStep(tableau, clock, perturb: perturb, like: x0)
    var outputs = OutputStates(clock, from: x0)
    var y = x0.copy()
    var next = Tensor(uninitialized: x0.shape)
    for (start, end) in zip(points, points.dropFirst()) {
      _ = try step(y, from: start, to: end, into: next, field)
      outputs.pass(y, at: start, to: next, at: end)
      swap(&y, &next)
    }
    let calls = (points.count - 1) * step.stageCount
    return Trajectory(
      states: outputs.states, evaluations: Array(repeating: calls, count: x0.shape[0]),
      calls: calls)
  }
}

/// One step of a tableau whose error nobody asks for.
struct RungeKuttaStep {
  private let tableau: ButcherTableau
  private let clock: SolverClock
  private let perturb: Bool
  /// Where a stage is evaluated, [B, …].
  private let stage: Tensor
  /// Stages that the solution is made of: one at the solution itself serves the error alone.
  let stageCount: Int

  init(_ tableau: ButcherTableau, _ clock: SolverClock, perturb: Bool, like x0: Tensor) {
    (self.tableau, self.clock, self.perturb) = (tableau, clock, perturb)
    stage = Tensor(uninitialized: x0.shape)
    stageCount = tableau.weights.lastIndex { $0 != 0 }! + 1
  }

  /// - Parameter next: receives the state at `end`.
  /// - Returns: the slope at `start`
  func callAsFunction(
    _ y: Tensor, from start: Double, to end: Double, into next: Tensor,
    _ field: (Tensor, Tensor) throws -> Tensor
  ) throws -> Tensor {
    let signedStep = Float(clock.sign * (end - start))
    var k: [Tensor] = []
    for i in 0..<stageCount {
      if i > 0 {
        let row = tableau.stages[i - 1].map { Float($0) * signedStep }
        linearCombination(y, k, coefficients: row, into: stage)
      }
      let t = stageTime(i, from: start, to: end)
      k.append(try slope(i == 0 ? y : stage, Array(repeating: t, count: y.shape[0]), field))
    }
    let weights = tableau.weights[..<stageCount].map { Float($0) * signedStep }
    linearCombination(y, k, coefficients: weights, into: next)
    return k[0]
  }

  private func stageTime(_ i: Int, from start: Double, to end: Double) -> Float {
    let node = tableau.nodes[i]
    let time = node == 1 ? end : start + node * (end - start)
    guard perturb else { return clock.callerTime(time) }
    return clock.callerTime(time, i == 0 ? .next : node == 1 ? .previous : .none)
  }
}
