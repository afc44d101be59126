import FlowCore
import FlowTensor
import Foundation
import Testing

/// A rotation seen through a shear, at a speed that grows with time: nonlinear, dependent on time,
/// and solved in closed form. With v = y − a·x², (x, v) turns at the rate ω·(1 + r·t).
struct ShearedRotation: Sendable {
  let omega: Double
  var shear = 0.2
  var ramp = 0.3

  /// States [1, 2], times [1].
  func callAsFunction(_ x: Tensor, _ t: Tensor) -> Tensor {
    let (a, b) = (Double(x.base[0]), Double(x.base[1]))
    let v = b - shear * a * a
    let rate = omega * (1 + ramp * Double(t.item))
    return Tensor(x.shape, [Float(-rate * v), Float(rate * (a - 2 * shear * a * v))])
  }

  static var start: Tensor { Tensor([1, 2], [1, 0]) }

  /// Distance of `found` from the solution at `end` that is `start` at `begin`.
  func error(_ found: Tensor, from begin: Double, to end: Double) -> Double {
    let angle = omega * (end - begin + ramp * (end * end - begin * begin) / 2)
    let (x0, v0) = (1.0, -shear)
    let x = x0 * cos(angle) - v0 * sin(angle)
    let v = x0 * sin(angle) + v0 * cos(angle)
    return hypot(Double(found.base[0]) - x, Double(found.base[1]) - v - shear * x * x)
  }
}

/// A method, and step counts at which its error is well above float32's round-off.
struct OrderRow: Sendable, CustomTestStringConvertible {
  let name: String
  let order: Int
  let problem: ShearedRotation
  let steps: [Int]
  /// Where it integrates; noise lies at the end that it does not have.
  var span = 0.0...1.0
  /// The state at the end of `times`.
  let solve: @Sendable (_ steps: Int, _ times: [Double], ShearedRotation) throws -> Tensor

  var testDescription: String { name }
}

private func row(
  _ tableau: ButcherTableau, omega: Double, shear: Double = 0.2, ramp: Double = 0.3, _ steps: [Int]
) -> OrderRow {
  OrderRow(
    name: tableau.name, order: tableau.order,
    problem: ShearedRotation(omega: omega, shear: shear, ramp: ramp), steps: steps
  ) { steps, times, field in
    try FixedStepSolver(tableau, grid: .steps(steps))
      .integrate(from: ShearedRotation.start, through: times, field.callAsFunction).final
  }
}

private func row(adamsBashforth order: Int, omega: Double, _ steps: [Int]) -> OrderRow {
  OrderRow(
    name: "ab\(order)", order: order, problem: ShearedRotation(omega: omega), steps: steps
  ) { steps, times, field in
    try AdamsBashforth(order: order, grid: .steps(steps))
      .integrate(from: ShearedRotation.start, through: times, field.callAsFunction).final
  }
}

/// The path on which time runs the way of `times` towards data.
private func path(_ times: [Double]) -> any ProbabilityPath {
  times[0] < times[1] ? LinearPath() : NoisingPath(sigmaMin: 0)
}

private func row(karras method: KarrasSampler.Method, _ order: Int, _ steps: [Int]) -> OrderRow {
  OrderRow(
    name: "karras_\(method.rawValue)", order: order, problem: ShearedRotation(omega: 2),
    steps: steps
  ) { steps, times, field in
    let levels = KarrasSampler.evenTimes(steps + 1, from: 1, to: 0)
    return KarrasSampler(method, times: levels).sample(
      from: ShearedRotation.start, along: path(times), draws: { _ in ShearedRotation.start },
      field.callAsFunction
    ).final
  }
}

private func row(sde method: StochasticSolver.Method, _ order: Int, _ steps: [Int]) -> OrderRow {
  OrderRow(
    name: "sde_\(method.rawValue)", order: order, problem: ShearedRotation(omega: 2), steps: steps
  ) { steps, times, field in
    let solver = StochasticSolver(
      method, diffusion: DiffusionCoefficient(.constant, norm: 0), steps: steps, lastStep: .none,
      margin: 0)
    return try solver.integrate(
      from: ShearedRotation.start, along: path(times), noise: { _ in ShearedRotation.start },
      field.callAsFunction
    ).final
  }
}

@Suite("order of convergence", .serialized)
struct SolverOrderTests {
  static let rows = [
    row(.euler, omega: 1, [64, 128, 256]),
    row(.heun, omega: 2, [32, 64, 128]),
    row(.midpoint, omega: 2, [32, 64, 128]),
    row(.adaptiveHeun, omega: 2, [32, 64, 128]),
    row(.bosh3, omega: 4, [24, 32, 48]),
    row(.rk4, omega: 4, [16, 24, 32]),
    row(.classicRK4, omega: 4, [16, 24, 32]),
    row(.dopri5, omega: 8, shear: 0.05, ramp: 0.1, [16, 20, 26]),
    row(.tsit5, omega: 24, shear: 0.1, [16, 20, 26]),
    row(.dopri8, omega: 24, shear: 0.03, ramp: 0.1, [9, 12, 14]),
    row(adamsBashforth: 2, omega: 4, [32, 64, 128]),
    row(adamsBashforth: 3, omega: 2, [24, 32, 48]),
    row(adamsBashforth: 4, omega: 3, [24, 32, 48]),
    // At the ends of a path λ is infinite, and the method between its two orders.
    OrderRow(
      name: "dpmpp_2m", order: 2, problem: ShearedRotation(omega: 2), steps: [32, 64, 128],
      span: 0.1...0.9
    ) { steps, times, field in
      try DataPredictionSolver(grid: .steps(steps))
        .integrate(
          from: ShearedRotation.start, through: times, along: GVPPath(), field.callAsFunction
        ).final
    },
    row(karras: .euler, 1, [64, 128, 256]),
    row(karras: .heun, 2, [32, 64, 128]),
    row(sde: .euler, 1, [64, 128, 256]),
    row(sde: .heun, 2, [32, 64, 128]),
  ]

  @Test("slope of the error over the step, rising and falling time", arguments: rows)
  func slope(_ row: OrderRow) throws {
    for (begin, end) in [
      (row.span.lowerBound, row.span.upperBound), (row.span.upperBound, row.span.lowerBound),
    ] {
      let points = try row.steps.map { steps -> (x: Double, y: Double) in
        let found = try row.solve(steps, [begin, end], row.problem)
        return (log(1 / Double(steps)), log(row.problem.error(found, from: begin, to: end)))
      }
      let slope = fittedSlope(points)
      #expect(abs(slope - Double(row.order)) < 0.4, "order \(slope) from \(begin) to \(end)")
    }
  }

  @Test("every method has a row")
  func complete() {
    let stochastic = StochasticSolver.Method.allCases.map { "sde_\($0.rawValue)" }
    #expect(Set(Self.rows.map(\.name)) == Set(SolverKind.all.map(\.name) + stochastic))
  }

  /// A method of order p with an estimate of order h^p stops where the error is of the order of
  /// the tolerance, whatever p is.
  @Test(
    "adaptive: the error is proportional to the tolerance, rising and falling time",
    arguments: ButcherTableau.all.filter(\.isAdaptive))
  func tolerance(_ tableau: ButcherTableau) throws {
    let problem = ShearedRotation(omega: 12)
    for (begin, end) in [(0.0, 1.0), (1, 0)] {
      let points = try [1e-2, 3e-3, 1e-3, 3e-4, 1e-4].map { tolerance -> (x: Double, y: Double) in
        let solver = AdaptiveSolver(
          tableau, relativeTolerance: tolerance, absoluteTolerance: tolerance)
        let found = try solver.integrate(
          from: ShearedRotation.start, through: [begin, end], problem.callAsFunction)
        let error = problem.error(found.final, from: begin, to: end)
        #expect(error < 60 * tolerance, "error \(error) at \(tolerance)")
        return (log(tolerance), log(error))
      }
      let slope = fittedSlope(points)
      #expect(abs(slope - 1) < 0.5, "error ~ tolerance^\(slope) from \(begin) to \(end)")
    }
  }

  /// Butcher's conditions: for every rooted tree τ with at most `order` vertices the elementary
  /// weight is 1/γ(τ) (Hairer, Nørsett & Wanner I, theorem II.2.13); one of the next size fails.
  @Test("order conditions in Double", arguments: ButcherTableau.all)
  func conditions(_ tableau: ButcherTableau) {
    for (row, node) in zip(tableau.stages, tableau.nodes.dropFirst()) {
      #expect(abs(row.reduce(0, +) - node) < 1e-13)
    }
    let worst = (1...tableau.order + 1).map { size in
      rootedTrees(size).map { abs($0.weight(in: tableau) - 1 / $0.density) }.max()!
    }
    for size in 1...tableau.order { #expect(worst[size - 1] < 1e-13, "trees of \(size)") }
    #expect(worst[tableau.order] > 1e-6)
  }

  @Test(
    "the error estimate vanishes for what both solutions integrate",
    arguments: [
      (ButcherTableau.adaptiveHeun, 1), (.bosh3, 2), (.dopri5, 4), (.tsit5, 4), (.dopri8, 7),
    ])
  func embedded(_ tableau: ButcherTableau, _ order: Int) {
    for size in 1...order {
      for tree in rootedTrees(size) {
        let sums = zip(tree.stageWeights(in: tableau), tableau.embeddedWeights!).map(*)
        #expect(abs(sums.reduce(0, +) - 1 / tree.density) < 1e-13, "a tree of \(size)")
      }
    }
  }
}

func fittedSlope(_ points: [(x: Double, y: Double)]) -> Double {
  let n = Double(points.count)
  let mx = points.reduce(0) { $0 + $1.x } / n
  let my = points.reduce(0) { $0 + $1.y } / n
  return points.reduce(0) { $0 + ($1.x - mx) * ($1.y - my) }
    / points.reduce(0) { $0 + ($1.x - mx) * ($1.x - mx) }
}

/// A rooted tree, its children in canonical order.
private struct Tree: Hashable {
  var children: [Tree]

  var size: Int { children.reduce(1) { $0 + $1.size } }
  /// γ(τ): the product of the sizes of all subtrees.
  var density: Double { children.reduce(Double(size)) { $0 * $1.density } }
  var key: String { "(" + children.map(\.key).sorted().joined() + ")" }

  /// Per stage i: Π over children of Σ_j a_ij · (the child's value at j).
  func stageWeights(in tableau: ButcherTableau) -> [Double] {
    let below = children.map { $0.stageWeights(in: tableau) }
    return tableau.weights.indices.map { i in
      let row = i == 0 ? [] : tableau.stages[i - 1]
      return below.reduce(1) { $0 * zip(row, $1).map(*).reduce(0, +) }
    }
  }

  func weight(in tableau: ButcherTableau) -> Double {
    zip(tableau.weights, stageWeights(in: tableau)).map(*).reduce(0, +)
  }
}

/// All rooted trees with `size` vertices: 1, 1, 2, 4, 9, 20, 48, 115, 286 ….
private func rootedTrees(_ size: Int) -> [Tree] {
  var trees = [Tree(children: [])]
  for _ in 1..<size {  // grow a leaf at every vertex of every smaller tree
    var seen: Set<String> = []
    trees = trees.flatMap(grown).filter { seen.insert($0.key).inserted }
  }
  return trees
}

private func grown(_ tree: Tree) -> [Tree] {
  var results = [Tree(children: tree.children + [Tree(children: [])])]
  for (i, child) in tree.children.enumerated() {
    for larger in grown(child) {
      var copy = tree
      copy.children[i] = larger
      results.append(copy)
    }
  }
  return results
}
