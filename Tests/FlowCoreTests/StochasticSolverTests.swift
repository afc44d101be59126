import FlowCore
import FlowTensor
import Foundation
import Testing

/// The flow to Gaussian data of one mean and deviation: velocity and marginals in closed form.
private struct GaussianFlow {
  let path: any ProbabilityPath
  var mean = 0.7
  var deviation = 0.5

  /// v = α'·E[data | x] + σ'·E[noise | x]
  func callAsFunction(_ x: Tensor, _ t: Tensor) -> Tensor {
    let s = path.schedule(at: Double(t.base[0]))
    let variance = s.data * s.data * deviation * deviation + s.noise * s.noise
    return Tensor(
      x.shape,
      x.values.map { x in
        let centred = Double(x) - s.data * mean
        let data = mean + s.data * deviation * deviation / variance * centred
        return Float(s.dataRate * data + s.noiseRate * s.noise / variance * centred)
      })
  }
}

private let paths: [any ProbabilityPath] = [LinearPath(), GVPPath(), NoisingPath()]

private func normal(_ count: Int, step: Int) -> Tensor {
  Philox(seed: 3, stream: .churn, step: step).normal([count, 1])
}

private func meanAndVariance(_ x: Tensor) -> (mean: Double, variance: Double) {
  let values = x.values.map(Double.init)
  let mean = values.reduce(0, +) / Double(values.count)
  let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
  return (mean, squares / Double(values.count - 1))
}

@Suite("stochastic solvers", .serialized)
struct StochasticSolverTests {
  /// Whatever the diffusion, the samples are distributed as the data: within five standard errors
  /// and what 160 steps leave.
  @Test(
    "marginal mean and variance of Gaussian data",
    arguments: DiffusionCoefficient.Form.allCases, paths.indices)
  func marginals(_ form: DiffusionCoefficient.Form, _ index: Int) throws {
    let flow = GaussianFlow(path: paths[index])
    let count = 8_000
    for method in StochasticSolver.Method.allCases {
      let solver = StochasticSolver(
        method, diffusion: DiffusionCoefficient(form), steps: 160, lastStepSize: 0.01)
      let found = try solver.integrate(
        from: normal(count, step: 1_000), along: flow.path, noise: { normal(count, step: $0) },
        flow.callAsFunction)
      let (mean, variance) = meanAndVariance(found.final)
      let (m, v) = (flow.mean, flow.deviation * flow.deviation)
      #expect(abs(mean - m) < 5 * (v / Double(count)).squareRoot() + 0.01, "\(method): \(mean)")
      #expect(
        abs(variance - v) < 5 * v * (2 / Double(count)).squareRoot() + 0.01,
        "\(method): \(variance)")
    }
  }

  /// The same Brownian path at every step size: a coarse increment is the sum of fine ones. Noise
  /// that does not depend on the state makes Euler–Maruyama converge with order 1, not 1/2.
  @Test("strong order 1 on a linear equation", arguments: StochasticSolver.Method.allCases, [0, 2])
  func strongOrder(_ method: StochasticSolver.Method, _ index: Int) throws {
    let flow = GaussianFlow(path: paths[index])
    let (count, fine) = (500, 1024)
    let increments = (0..<fine).map { normal(count, step: $0) }
    func end(_ steps: Int) throws -> [Float] {
      let solver = StochasticSolver(
        method, diffusion: DiffusionCoefficient(.constant, norm: 0.5), steps: steps,
        lastStep: .none, margin: 0.125)
      let ratio = fine / steps
      let share = 1 / Float(ratio).squareRoot()
      return try solver.integrate(
        from: normal(count, step: 5_000), along: flow.path,
        noise: { step in
          linearCombination(
            Array(increments[step * ratio..<(step + 1) * ratio]),
            coefficients: Array(repeating: share, count: ratio))
        }, flow.callAsFunction
      ).final.values
    }
    let exact = try end(fine)
    let points = try [16, 32, 64].map { steps -> (x: Double, y: Double) in
      let squares = zip(try end(steps), exact).reduce(0.0) { $0 + pow(Double($1.0 - $1.1), 2) }
      return (log(1 / Double(steps)), log((squares / Double(count)).squareRoot()))
    }
    #expect(abs(fittedSlope(points) - 1) < 0.2, "strong order \(fittedSlope(points))")
  }

  @Test("no diffusion: the ODE, bit for bit", arguments: paths.indices)
  func ordinary(_ index: Int) throws {
    let flow = GaussianFlow(path: paths[index])
    let x0 = normal(64, step: 0)
    for (method, tableau) in [
      (StochasticSolver.Method.euler, ButcherTableau.euler), (.heun, .heun),
    ] {
      let solver = StochasticSolver(
        method, diffusion: DiffusionCoefficient(.sigma, norm: 0), steps: 16, lastStep: .none,
        margin: 0)
      let found = try solver.integrate(
        from: x0, along: flow.path, noise: { _ in fatalNoise() }, flow.callAsFunction)
      let expected = try FixedStepSolver(tableau, grid: .steps(16)).sample(
        from: x0, along: flow.path, draws: { _ in fatalNoise() }, flow.callAsFunction)
      #expect(found.final.values.elementsEqual(expected.final.values))
      #expect(found.evaluations == expected.evaluations)
    }
  }

  /// Without a last step the noise of its margin stays; Tweedie's formula gives the expected data,
  /// whose variance is smaller than the data's.
  @Test("last steps", arguments: paths.indices)
  func lastSteps(_ index: Int) throws {
    let flow = GaussianFlow(path: paths[index])
    var variances: [StochasticSolver.LastStep: Double] = [:]
    for last in StochasticSolver.LastStep.allCases {
      let solver = StochasticSolver(
        .euler, diffusion: DiffusionCoefficient(.linear), steps: 40, lastStep: last,
        lastStepSize: 0.2, margin: 0.2)
      let count = 4_000
      var seen = 0
      let found = try solver.integrate(
        from: normal(count, step: 900), along: flow.path, noise: { normal(count, step: $0) },
        watching: { _ in seen += 1 }, flow.callAsFunction)
      #expect(seen == 40 && found.calls == 40)
      variances[last] = meanAndVariance(found.final).variance
    }
    let s = flow.path.schedule(at: flow.path.direction == .sourceToData ? 0.8 : 0.2)
    let data = flow.deviation * flow.deviation
    let noisy = s.data * s.data * data + s.noise * s.noise
    let expected = pow(s.data * data, 2) / noisy
    #expect(abs(variances[.none]! / noisy - 1) < 0.15, "\(variances)")
    #expect(abs(variances[.tweedie]! / expected - 1) < 0.15, "\(variances)")
    // Along a straight path Euler's step to the end is the expected data itself.
    let isStraight = !(flow.path is GVPPath)
    #expect((abs(variances[.euler]! / variances[.tweedie]! - 1) < 1e-3) == isStraight)
    #expect(abs(variances[.mean]! / variances[.euler]! - 1) > 0.01, "\(variances)")
  }

  @Test("what a velocity says about data, noise and score", arguments: paths.indices)
  func schedules(_ index: Int) {
    let (data, noise) = (1.25, -0.5)
    for t in [0.125, 0.5, 0.875] {
      let s = paths[index].schedule(at: t)
      let x = s.data * data + s.noise * noise
      let v = s.dataRate * data + s.noiseRate * noise
      func value(_ m: PathSchedule.Mixture, _ v: Double) -> Double { m.velocity * v + m.state * x }
      #expect(abs(value(s.dataFromVelocity, v) - data) < 1e-12)
      #expect(abs(value(s.noiseFromVelocity, v) - noise) < 1e-12)
      let score = value(s.scoreFromVelocity, v)
      #expect(abs(score + noise / s.noise) < 1e-12)
      #expect(abs(value(s.velocityFromScore, score) - v) < 1e-12)
      // The rates are derivatives.
      let later = paths[index].schedule(at: t + 1e-5)
      let earlier = paths[index].schedule(at: t - 1e-5)
      #expect(abs((later.data - earlier.data) / 2e-5 - s.dataRate) < 1e-8)
      #expect(abs((later.noise - earlier.noise) / 2e-5 - s.noiseRate) < 1e-8)
    }
  }
}

/// Noise that nobody may ask for.
private func fatalNoise() -> Tensor {
  Issue.record("a solver without diffusion asked for noise")
  return Tensor([64, 1], fill: .nan)
}
