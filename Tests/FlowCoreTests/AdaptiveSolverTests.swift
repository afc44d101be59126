import FlowCore
import FlowTensor
import Foundation
import Testing

/// Each sample turns at its own rate: x' = ω_b·J·x, rates by the sample's third number.
private func turning(_ x: Tensor, _ t: Tensor) -> Tensor {
  let v = x.values
  return Tensor(
    x.shape,
    stride(from: 0, to: v.count, by: 3).flatMap { i -> [Float] in
      [-v[i + 2] * v[i + 1], v[i + 2] * v[i], 0]
    })
}

private func start(_ rates: [Float]) -> Tensor {
  Tensor([rates.count, 3], rates.flatMap { [1, 0, $0] })
}

private let adaptive: [ButcherTableau] = [.adaptiveHeun, .bosh3, .dopri5, .tsit5, .dopri8]

@Suite("adaptive solvers", .serialized)
struct AdaptiveSolverTests {
  @Test("error follows the tolerance, rising and falling time", arguments: adaptive)
  func accuracy(_ tableau: ButcherTableau) throws {
    for (tolerance, bound) in [(1e-3, 5e-2), (1e-5, 1e-3)] {
      for times in [[0.0, 0.4, 1], [1.0, 0.6, 0]] {
        let solver = AdaptiveSolver(
          tableau, relativeTolerance: tolerance, absoluteTolerance: tolerance)
        let found = try solver.integrate(from: start([1, 6]), through: times, turning)
        for (state, time) in zip(found.states, times) {
          for (sample, rate) in [1.0, 6].enumerated() {
            let angle = rate * (time - times[0])
            let x = state.values[3 * sample], y = state.values[3 * sample + 1]
            #expect(hypot(Double(x) - cos(angle), Double(y) - sin(angle)) < bound)
          }
        }
      }
    }
  }

  /// Bits, steps and evaluations of a sample are those it has alone, whoever sits beside it,
  /// although its neighbours take longer and it waits for them.
  @Test("per sample: neighbours do not matter", arguments: adaptive)
  func independence(_ tableau: ButcherTableau) throws {
    let solver = AdaptiveSolver(tableau)
    let rates: [Float] = [0.1, 9, 3]
    let together = try solver.integrate(from: start(rates), through: [1, 0.3, 0], turning)
    for (i, rate) in rates.enumerated() {
      let alone = try solver.integrate(from: start([rate]), through: [1, 0.3, 0], turning)
      for (a, b) in zip(alone.states, together.states) {
        #expect(a.values == Array(b.values[3 * i..<3 * i + 3]))
      }
      #expect(alone.evaluations == [together.evaluations[i]])
      #expect(alone.calls == alone.evaluations[0])
    }
    #expect(together.calls == together.evaluations.max())
    #expect(together.evaluations[0] < together.evaluations[1])
  }

  @Test("per sample and per batch agree on a batch of one", arguments: adaptive)
  func batchOfOne(_ tableau: ButcherTableau) throws {
    let results = try AdaptiveSolver.ErrorControl.allCases.map { control in
      try AdaptiveSolver(tableau, errorControl: control, landsOnOutputs: false)
        .integrate(from: start([5]), through: [0, 1], turning)
    }
    #expect(results[0].final.values == results[1].final.values)
    #expect(results[0].evaluations == results[1].evaluations)
  }

  @Test("batch control lets neighbours matter")
  func batchControl() throws {
    let solver = AdaptiveSolver(.dopri5, errorControl: .batch)
    #expect(!solver.landsOnOutputs && AdaptiveSolver().landsOnOutputs)
    let found = try solver.integrate(from: start([0.1, 9]), through: [0, 1], turning)
    #expect(found.evaluations == [found.calls, found.calls])
    let alone = try solver.integrate(from: start([0.1]), through: [0, 1], turning)
    #expect(alone.calls < found.calls)
  }

  /// The quartic that reads states off long steps costs a method of order 8 what it gains.
  @Test("landing on the output times", arguments: [[0.0, 0.7, 1], [1.0, 0.3, 0]])
  func landing(_ times: [Double]) throws {
    let range = Float(times.min()!)...Float(times.max()!)
    let errors = try [true, false].map { lands in
      var isInside = true
      let found = try AdaptiveSolver(.dopri8, landsOnOutputs: lands)
        .integrate(from: start([6]), through: times) {
          isInside = isInside && range.contains($1.item)
          return turning($0, $1)
        }
      #expect(isInside == lands)
      return zip(found.states, times).map { state, time in
        let angle = 6 * (time - times[0])
        return hypot(Double(state.values[0]) - cos(angle), Double(state.values[1]) - sin(angle))
      }.max()!
    }
    #expect(errors[0] < 2e-5 && errors[0] * 5 < errors[1], "\(errors)")
  }

  /// A frozen sample is asked about at the last output time, not beyond it.
  @Test("samples that have arrived wait in their place")
  func frozen() throws {
    var last: [Float] = []
    let found = try AdaptiveSolver(.bosh3).integrate(from: start([0.01, 20]), through: [1, 0]) {
      last = $1.values
      return turning($0, $1)
    }
    #expect(last[0] == 0 && last[1] != 0)
    #expect(found.evaluations[0] * 3 < found.evaluations[1])
  }

  @Test("a field may return its argument")
  func aliasing() throws {
    let found = try AdaptiveSolver(.dopri5).integrate(
      from: Tensor([1, 1], [1]), through: [0, 1]
    ) { x, _ in x }
    #expect(abs(found.final.item - Float(M_E)) < 1e-4)
    let fixed = try FixedStepSolver(.rk4, grid: .steps(20)).integrate(
      from: Tensor([1, 1], [1]), through: [0, 1]
    ) { x, _ in x }
    #expect(abs(fixed.final.item - Float(M_E)) < 1e-4)
  }

  @Test("a field that is not a number names its sample")
  func notFinite() {
    let solver = AdaptiveSolver(.dopri5)
    #expect(throws: SolverFailure.notFinite(sample: 1, time: 0)) {
      try solver.integrate(from: start([1, .nan]), through: [0, 1], turning)
    }
    #expect(throws: SolverFailure.self) {
      try AdaptiveSolver(.bosh3, maximumSteps: 3)
        .integrate(from: start([50]), through: [0, 1], turning)
    }
  }

  @Test("memory does not grow with the number of steps")
  func memory() throws {
    func held(_ rate: Float) throws -> Int {
      _ = try AdaptiveSolver(.dopri5).integrate(from: start([rate]), through: [0, 1], turning)
      return tensorMemory().held
    }
    let few = try held(1)
    let many = try held(40)
    #expect(many == few)
  }
}

@Suite("samplers on given times", .serialized)
struct KarrasSamplerTests {
  /// LFM's code assumes 40 steps and turns Heun's method into Euler's beyond them.
  @Test("Heun's correction beyond 40 steps", arguments: [(nil, 2 * 63), (40, 63 + 39)])
  func correction(_ assumed: Int?, _ calls: Int) throws {
    let sampler = KarrasSampler(
      .heun, times: KarrasSampler.evenTimes(64, from: 1, to: 0), assumedSteps: assumed)
    let found = sampler.integrate(from: start([6]), noise: { _ in start([0]) }, turning)
    #expect(found.evaluations == [calls])
    let end = found.final.values.map(Double.init)
    let error = hypot(end[0] - cos(6), end[1] + sin(6))
    #expect((error < 0.02) == (assumed == nil), "error \(error)")
  }
}
