import FlowTensor

/// Samples a flow by the stochastic equation that has the same marginals as its ODE:
///
///     dx = (v + D·score) dτ + √(2D) dW
///
/// τ runs from noise to data; the score follows from the velocity and the path (`PathSchedule`).
/// Ma et al. 2024, «SiT», arXiv 2401.08740, § 3.3; FMBoost's `FlowSDE` takes the same steps.
public struct StochasticSolver: FlowSampler, Equatable {
  public enum Method: String, Sendable, CaseIterable {
    /// Maruyama 1955, Rend. Circ. Mat. Palermo 4, 48.
    case euler
    /// The noise first, then Heun's method on the drift (Karras et al. 2022, arXiv 2206.00364).
    case heun
  }

  /// How the way from the last stochastic step to data is covered, without noise.
  public enum LastStep: String, Sendable, CaseIterable {
    case none
    /// A step along the drift.
    case mean = "Mean"
    /// A step along the velocity.
    case euler = "Euler"
    /// The expected data given the state (Efron 2011, «Tweedie's formula», JASA 106, 1602).
    case tweedie = "Tweedie"
  }

  public let method: Method
  public let diffusion: DiffusionCoefficient
  /// All steps, the last one included.
  public let steps: Int
  public let lastStep: LastStep
  /// Length of the last step in τ.
  public let lastStepSize: Double
  /// The part of the way that is left out where an end of it is singular: at the noise with the
  /// SBDM form, at the data without a last step.
  public let margin: Double

  public init(
    _ method: Method, diffusion: DiffusionCoefficient, steps: Int, lastStep: LastStep = .mean,
    lastStepSize: Double = 0.04, margin: Double = 1e-3
  ) {
    precondition(steps >= (lastStep == .none ? 1 : 2), "\(steps) steps, last step \(lastStep)")
    precondition(
      diffusion.form != .sbdm || margin > 0, "the SBDM form is infinite at the noise: no margin")
    precondition(
      (0..<0.5).contains(margin) && lastStepSize > 0 && lastStepSize < 0.5,
      "a last step of \(lastStepSize), a margin of \(margin)")
    (self.method, self.diffusion, self.steps) = (method, diffusion, steps)
    (self.lastStep, self.lastStepSize, self.margin) = (lastStep, lastStepSize, margin)
  }

  public var description: String {
    "sde_\(method.rawValue), \(steps) steps, diffusion \(diffusion.form.rawValue) of norm "
      + "\(diffusion.norm), last step \(lastStep.rawValue)"
      + (lastStep == .none ? ", margin \(margin)" : " of \(lastStepSize)")
  }

  public func sample(
    from noise: Tensor, along path: any ProbabilityPath, draws: (Int) -> Tensor,
    _ field: (Tensor, Tensor) throws -> Tensor
  ) throws -> Trajectory {
    try integrate(from: noise, along: path, noise: draws, field)
  }

  /// τ at the ends of the stochastic steps.
  public var progress: [Double] {
    let first = diffusion.form == .sbdm ? margin : 0
    let last = 1 - (lastStep == .none ? margin : lastStepSize)
    let count = lastStep == .none ? steps : steps - 1
    return (0..<count).map { first + (last - first) * Double($0) / Double(count) } + [last]
  }

  /// - Parameters:
  ///   - x0: noise, [B, …]
  ///   - path: what the field was trained on; its direction says which way time runs.
  ///   - noise: standard normal noise of a stochastic step, [B, …]; asked for where D is positive
  ///   - watching: called with the state after every step; the tensor's memory is used again
  ///   - field: velocity of states [B, …] at times [B]
  /// - Throws: what the field throws; `SolverFailure` where the states are not finite at the end
  public func integrate(
    from x0: Tensor, along path: any ProbabilityPath, noise: (_ step: Int) -> Tensor,
    watching: (Tensor) -> Void = { _ in },
    _ field: (_ x: Tensor, _ t: Tensor) throws -> Tensor
  ) throws -> Trajectory {
    var run = StochasticRun(self, path, from: x0)
    let ends = progress
    for (step, (start, end)) in zip(ends, ends.dropFirst()).enumerated() {
      try run.step(from: start, to: end, noise: { noise(step) }, field)
      watching(run.x)
    }
    try run.finish(from: ends[ends.count - 1], field)
    if lastStep != .none { watching(run.x) }
    if let sample = run.firstThatIsNotFinite {
      throw SolverFailure.notFinite(sample: sample, time: path.direction.samplingInterval.end)
    }
    return Trajectory(
      states: [x0, run.x], evaluations: Array(repeating: run.calls, count: x0.shape[0]),
      calls: run.calls)
  }
}

/// The state of one stochastic integration.
private struct StochasticRun {
  private let solver: StochasticSolver
  private let path: any ProbabilityPath
  /// [B, …]
  let x: Tensor
  private let trial: Tensor
  private(set) var calls = 0

  init(_ solver: StochasticSolver, _ path: any ProbabilityPath, from x0: Tensor) {
    (self.solver, self.path) = (solver, path)
    x = x0.copy()
    trial = Tensor(uninitialized: x0.shape)
  }

  /// One step of the drift, Δτ·(dx/dτ without the noise), as velocity·v + state·x.
  private struct Drift {
    let velocity: Float
    let state: Float
  }

  /// From τ = `start` to τ = `end`.
  mutating func step(
    from start: Double, to end: Double, noise: () -> Tensor,
    _ field: (_ x: Tensor, _ t: Tensor) throws -> Tensor
  ) throws {
    let length = end - start
    let width = Float((2 * diffusion(at: start) * length).squareRoot())
    let first = drift(at: start, length)
    if solver.method == .euler {
      let v = try velocity(x, at: start, field)
      linearCombination(x, [x, v], coefficients: [first.state, first.velocity], into: x)
      if width > 0 { linearCombination(x, [noise()], coefficients: [width], into: x) }
      return
    }
    if width > 0 { linearCombination(x, [noise()], coefficients: [width], into: x) }
    let v1 = try velocity(x, at: start, field)
    linearCombination(x, [x, v1], coefficients: [first.state, first.velocity], into: trial)
    let v2 = try velocity(trial, at: end, field)
    let second = drift(at: end, length)
    linearCombination(
      x, [x, v1, trial, v2],
      coefficients: [first.state, first.velocity, second.state, second.velocity].map { $0 / 2 },
      into: x)
  }

  /// The last step, from τ = `start` to data.
  mutating func finish(
    from start: Double, _ field: (_ x: Tensor, _ t: Tensor) throws -> Tensor
  ) throws {
    guard solver.lastStep != .none else { return }
    let v = try velocity(x, at: start, field)
    switch solver.lastStep {
    case .none: break
    case .mean:
      let drift = drift(at: start, solver.lastStepSize)
      linearCombination(x, [x, v], coefficients: [drift.state, drift.velocity], into: x)
    case .euler:
      linearCombination(
        x, [v], coefficients: [Float(signed(solver.lastStepSize))], into: x)
    case .tweedie:
      let data = path.schedule(at: time(start)).dataFromVelocity
      linearCombination(
        nil, [x, v], coefficients: [Float(data.state), Float(data.velocity)], into: x)
    }
  }

  /// The first sample whose state holds a number that is not finite.
  var firstThatIsNotFinite: Int? {
    let size = x.count / x.shape[0]
    return (0..<x.shape[0]).first { sample in
      (sample * size..<(sample + 1) * size).contains { !x.base[$0].isFinite }
    }
  }

  private func drift(at progress: Double, _ length: Double) -> Drift {
    let d = diffusion(at: progress)
    // Without noise nothing asks for the score, which may be infinite.
    guard d > 0 else { return Drift(velocity: Float(signed(length)), state: 0) }
    let score = path.schedule(at: time(progress)).scoreFromVelocity
    return Drift(
      velocity: Float(signed(length) + length * d * score.velocity),
      state: Float(length * d * score.state))
  }

  private func diffusion(at progress: Double) -> Double {
    solver.diffusion(at: progress, path.schedule(at: time(progress)))
  }

  private mutating func velocity(
    _ x: Tensor, at progress: Double, _ field: (_ x: Tensor, _ t: Tensor) throws -> Tensor
  ) throws -> Tensor {
    calls += 1
    return try slope(
      x, Array(repeating: Float(time(progress)), count: x.shape[0]), field)
  }

  private func time(_ progress: Double) -> Double {
    path.direction == .sourceToData ? progress : 1 - progress
  }

  /// A length of τ as one of the path's time.
  private func signed(_ length: Double) -> Double {
    path.direction == .sourceToData ? length : -length
  }
}
