import ArgumentParser
import Diagnostics
import FlowCore

extension SamplesConfig.Solver: ExpressibleByArgument {
  var kind: SolverKind { SolverKind.named(rawValue)! }
  var isAdaptive: Bool { kind.isAdaptive }
}

/// How the flow of every stage is integrated. Methods that mix in noise have no place here: they
/// take the source for noise, and it is a picture.
struct UpscaleSolverOptions: ParsableArguments {
  @Option(help: "Solver of every stage. (default: the cascade's, or euler)")
  var solver: SamplesConfig.Solver?
  @Option(help: "Steps of a method without error control. (default: the cascade's, or 10)")
  var steps: Int?
  @Option(help: "Ends of its steps instead, as 0,0.2,0.6,1; the model's times.")
  var times: String?
  @Option(help: "Relative tolerance of an adaptive solver. (default: 1e-5)")
  var rtol: Double?
  @Option(help: "Absolute tolerance of an adaptive solver. (default: 1e-5)")
  var atol: Double?

  static let standardSteps = 10

  /// Then the cascade's own settings do not hold, not one of them.
  var isGiven: Bool {
    solver != nil || steps != nil || times != nil || rtol != nil || atol != nil
  }

  func validate() throws { try options().validate() }

  private func options() -> SolverOptions {
    SolverOptions(
      solver: (solver ?? .euler).rawValue, steps: steps, times: times, rtol: rtol, atol: atol)
  }

  /// - Parameter stage: what the cascade says, which holds where the command line says nothing.
  func sampler(
    along path: any ProbabilityPath, stage: CascadeStageConfig
  ) throws -> any FlowSampler {
    var options = options()
    if !isGiven {
      options = SolverOptions(
        solver: stage.solver.rawValue, steps: stage.steps, times: nil, rtol: stage.rtol,
        atol: stage.atol)
    }
    let kind = SolverKind.named(options.solver)!
    if !kind.isAdaptive, options.steps == nil, options.times == nil {
      options.steps = Self.standardSteps
    }
    return try options.sampler(along: path)
  }
}

extension SolverOptions {
  /// Options that were not read from a command line.
  init(solver: String, steps: Int?, times: String?, rtol: Double?, atol: Double?) {
    self.init()
    (self.solver, self.steps, self.times) = (solver, steps, times)
    (self.rtol, self.atol) = (rtol, atol)
    (stepSize, perturb, errorControl) = (nil, false, nil)
    (sde, sdeNorm, lastStep, lastStepSize) = (nil, nil, nil, nil)
    (churn, churnRange, churnNoise, assumedSteps) = (nil, nil, nil, nil)
  }
}
