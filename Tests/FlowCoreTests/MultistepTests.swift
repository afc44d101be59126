import FlowCore
import FlowTensor
import Foundation
import Testing

@Suite("multistep solvers", .serialized)
struct MultistepTests {
  let x0 = ShearedRotation.start
  let problem = ShearedRotation(omega: 3)

  /// Steps that grow: the weights follow them, so that the order survives.
  @Test("order on uneven steps", arguments: 2...4, [(0.0, 1.0), (1.0, 0.0)])
  func uneven(_ order: Int, _ span: (Double, Double)) throws {
    let points = try [24, 36, 48].map { count -> (x: Double, y: Double) in
      let grid = (0...count).map { i in
        let x = Double(i) / Double(count)
        return span.0 + (span.1 - span.0) * x * (1 + x) / 2
      }
      let found = try AdamsBashforth(order: order, grid: .points(grid)).integrate(
        from: x0, through: [span.0, span.1], problem.callAsFunction)
      return (log(1 / Double(count)), log(problem.error(found.final, from: span.0, to: span.1)))
    }
    #expect(abs(fittedSlope(points) - Double(order)) < 0.4, "order \(fittedSlope(points))")
  }

  /// A method of order p integrates t^(p−1) exactly once its own slopes are there.
  @Test("polynomials in time", arguments: 2...4)
  func polynomials(_ order: Int) throws {
    for degree in 0..<order {
      let found = try AdamsBashforth(order: order, grid: .steps(8)).integrate(
        from: Tensor([1, 1], [0]), through: [0, 1]
      ) { _, t in
        Tensor([1, 1], [pow(t.item, Float(degree))])
      }
      #expect(abs(found.final.item - 1 / Float(degree + 1)) < 1e-6)
    }
  }

  @Test("evaluations: one per step after the first", arguments: [(2, 2), (3, 6), (4, 12)])
  func evaluations(_ order: Int, _ starting: Int) throws {
    let found = try AdamsBashforth(order: order, grid: .steps(20)).integrate(
      from: x0, through: [0, 0.5, 1], problem.callAsFunction)
    #expect(found.evaluations == [starting + 20 - (order - 1)])
    #expect(found.states.count == 3)
    #expect(problem.error(found.states[1], from: 0, to: 0.5) < 0.02)
  }

  /// On a linear path, data prediction of the first order is Euler's method.
  @Test("data prediction of two steps is Euler's method on a linear path")
  func firstOrder() throws {
    for (path, times) in [
      (LinearPath() as any ProbabilityPath, [0.0, 1]), (NoisingPath(), [1, 0]),
    ] {
      let found = try DataPredictionSolver(grid: .steps(2)).sample(
        from: x0, along: path, draws: { _ in x0 }, problem.callAsFunction)
      let euler = try FixedStepSolver(.euler, grid: .steps(2)).integrate(
        from: x0, through: times, problem.callAsFunction)
      for (a, b) in zip(found.final.values, euler.final.values) { #expect(abs(a - b) < 1e-5) }
      #expect(found.calls == 2)
    }
  }

  /// Data that the velocity always expects to be the same is reached in any number of steps.
  @Test("constant data is reached exactly", arguments: [1, 3, 10])
  func constantData(_ steps: Int) throws {
    let paths: [any ProbabilityPath] = [LinearPath(), GVPPath(), NoisingPath(sigmaMin: 0)]
    for path in paths {
      let found = try DataPredictionSolver(grid: .steps(steps)).sample(
        from: Tensor([1, 1], [2]), along: path, draws: { _ in x0 }
      ) { x, t in
        let s = path.schedule(at: Double(t.item))
        // x = α·3 + σ·noise
        let noise = (Double(x.item) - s.data * 3) / s.noise
        return Tensor([1, 1], [Float(s.dataRate * 3 + s.noiseRate * noise)])
      }
      #expect(abs(found.final.item - 3) < 1e-5)
    }
  }
}
