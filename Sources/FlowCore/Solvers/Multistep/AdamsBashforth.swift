import FlowTensor

/// The explicit Adams methods of 2 to 4 steps: one evaluation per step, the polynomial through the
/// last slopes is integrated over the next step. Bashforth & Adams 1883, «An attempt to test the
/// theories of capillary action»; for steps of unequal length Hairer, Nørsett & Wanner I, § III.5.
///
/// A Runge–Kutta method of the same order makes the slopes to begin with.
public struct AdamsBashforth: ODESolver, Equatable {
  public let order: Int
  public let grid: StepGrid

  public init(order: Int, grid: StepGrid) {
    precondition((2...4).contains(order), "Adams–Bashforth of order \(order)")
    self.order = order
    self.grid = grid
  }

  public var name: String { "ab\(order)" }
  public var description: String { "\(name), \(grid)" }

  private var starter: ButcherTableau { [.heun, .bosh3, .classicRK4][order - 2] }

  /// Output times between grid points are interpolated linearly.
  public func integrate(
    from x0: Tensor, through times: [Double], _ field: (Tensor, Tensor) throws -> Tensor
  ) throws -> Trajectory {
    let clock = SolverClock(times)
    let points = grid.points(clock)
    let starting = RungeKuttaStep(starter, clock, perturb: false, like: x0)
    var outputs = OutputStates(clock, from: x0)
    var y = x0.copy()
    var next = Tensor(uninitialized: x0.shape)
    /// The last slopes, the newest first.
    var slopes: [Tensor] = []
    var calls = 0
    for (i, (start, end)) in zip(points, points.dropFirst()).enumerated() {
      if i < order - 1 {
        slopes.insert(try starting(y, from: start, to: end, into: next, field), at: 0)
        calls += starting.stageCount
      } else {
        let t = Array(repeating: clock.callerTime(start), count: x0.shape[0])
        slopes.insert(try slope(y, t, field), at: 0)
        calls += 1
        slopes = Array(slopes.prefix(order))
        let nodes = (0..<order).map { (points[i - $0] - start) / (end - start) }
        let step = clock.sign * (end - start)
        linearCombination(
          y, slopes, coefficients: AdamsBashforth.weights(nodes).map { Float($0 * step) },
          into: next)
      }
      outputs.pass(y, at: start, to: next, at: end)
      swap(&y, &next)
    }
    return Trajectory(
      states: outputs.states, evaluations: Array(repeating: calls, count: x0.shape[0]),
      calls: calls)
  }

  /// ∫₀¹ of each Lagrange polynomial on `nodes`: for equal steps, 0, −1, −2 …, the numbers of the
  /// text books.
  static func weights(_ nodes: [Double]) -> [Double] {
    nodes.indices.map { j in
      var polynomial = [1.0]  // coefficients, the constant first
      for m in nodes.indices where m != j {
        let scale = 1 / (nodes[j] - nodes[m])
        var product = [Double](repeating: 0, count: polynomial.count + 1)
        for (power, c) in polynomial.enumerated() {
          product[power + 1] += c * scale
          product[power] -= c * scale * nodes[m]
        }
        polynomial = product
      }
      return polynomial.enumerated().reduce(0) { $0 + $1.element / Double($1.offset + 1) }
    }
  }
}
