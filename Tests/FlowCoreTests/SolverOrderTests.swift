import FlowCore
import FlowTensor
import Foundation
import Testing

/// x' = ω·J·x, a rotation: the exact solution is known and the norm shows growth.
private func rotation(_ omega: Float) -> (Tensor, Tensor) -> Tensor {
  { x, _ in Tensor(x.shape, [-omega * x.base[1], omega * x.base[0]]) }
}

@Suite("order of convergence", .serialized)
struct SolverOrderTests {
  /// Step counts at which the error of a turn by `angle` is well above float32's round-off.
  struct Row: Sendable {
    let tableau: ButcherTableau
    let angle: Double
    let steps: [Int]
  }

  static let rows = [
    Row(tableau: .euler, angle: 1, steps: [64, 128, 256]),
    Row(tableau: .heun, angle: 2, steps: [16, 32, 64]),
    Row(tableau: .midpoint, angle: 2, steps: [16, 32, 64]),
    Row(tableau: .adaptiveHeun, angle: 2, steps: [16, 32, 64]),
    Row(tableau: .bosh3, angle: 4, steps: [16, 24, 32]),
    Row(tableau: .rk4, angle: 6, steps: [12, 18, 24]),
    Row(tableau: .classicRK4, angle: 6, steps: [12, 18, 24]),
    Row(tableau: .dopri5, angle: 12, steps: [16, 20, 26]),
    Row(tableau: .dopri8, angle: 24, steps: [9, 12, 14]),
  ]

  @Test("slope of the error over the step", arguments: rows)
  func slope(_ row: Row) throws {
    let points = try row.steps.map { steps -> (x: Double, y: Double) in
      let solver = FixedStepSolver(row.tableau, grid: .steps(steps))
      let end = try solver.integrate(
        from: Tensor([1, 2], [1, 0]), through: [0, 1], rotation(Float(row.angle))
      ).final.values
      let error = hypot(Double(end[0]) - cos(row.angle), Double(end[1]) - sin(row.angle))
      return (log(1 / Double(steps)), log(error))
    }
    let slope = fittedSlope(points)
    #expect(abs(slope - Double(row.tableau.order)) < 0.25, "order \(slope)")
  }

  @Test("every method has a row")
  func complete() {
    #expect(Set(Self.rows.map(\.tableau.name)) == Set(ButcherTableau.all.map(\.name)))
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

  @Test("the error estimate vanishes for what both solutions integrate", arguments: [
    (ButcherTableau.adaptiveHeun, 1), (.bosh3, 2), (.dopri5, 4), (.dopri8, 7),
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

private func fittedSlope(_ points: [(x: Double, y: Double)]) -> Double {
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
