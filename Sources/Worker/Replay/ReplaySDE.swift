import Diagnostics
import FlowCore
import FlowData
import FlowTensor

/// Replays FMBoost's stochastic sampling with recorded noise (`I_sde_*`): every state of every run.
public func replaySDECase(_ c: ReferenceCase) throws -> [ReplayRow] {
  let field = try ReplayMLP(c, conditions: try c.flowConditions())
  return try ReplayRun.all(of: c).compactMap { run in
    let found = try run.sampleSDE(
      c, field, along: run.probabilityPath(), methodKey: "sampling_method")
    return try c.row(run.tag, found.states.flatMap(\.values))
  }
}

extension ReferenceCase {
  /// The rows y of a flow case and, last, the unconditional one; none for a case without them.
  func flowConditions() throws -> [Tensor] {
    contains(.inputs, "uc") ? [try input("y"), try input("uc")] : []
  }
}

extension ReplayRun {
  /// FMBoost's stochastic sampling with the case's noise.
  ///
  /// - Parameter methodKey: the entry that names the method.
  /// - Returns: its `num_steps` states, each [B, …], and the calls that the reference makes
  func sampleSDE(
    _ c: ReferenceCase, _ field: ReplayMLP, along path: any ProbabilityPath, methodKey: String
  ) throws -> (states: [Tensor], calls: Int) {
    let lastStep: StochasticSolver.LastStep =
      entry["last_step"] == .null ? .none : try choice("last_step", .mean)
    let solver = StochasticSolver(
      try choice(methodKey, .euler),
      diffusion: DiffusionCoefficient(
        try choice("diffusion_form", .sigma), norm: entry["diffusion_norm"]?.double ?? 1),
      // The reference counts states, and repeats the last one where there is no last step.
      steps: try int("num_steps") - (lastStep == .none ? 1 : 0), lastStep: lastStep,
      lastStepSize: entry["last_step_size"]?.double ?? 0.04,
      margin: entry["sample_eps"]?.double ?? 0)
    let (x0, noise) = (try c.input("x0"), try c.input("noise"))
    var states: [Tensor] = []
    let found = try solver.integrate(
      from: x0, along: path, noise: { noise.slice($0..<$0 + 1).reshaped(x0.shape) },
      watching: { states.append($0.copy()) },
      velocity(of: field, batch: x0.shape[0]))
    if lastStep == .none { states.append(states[states.count - 1]) }
    // The reference asks its network twice where it needs velocity and score.
    return (states, 2 * found.calls - (lastStep == .euler ? 1 : 0))
  }

  /// The field under the run's `cfg_scale`; sample b takes row b of its conditions and the row
  /// after those of the batch is the unconditional one.
  func velocity(of field: ReplayMLP, batch: Int) -> (_ x: Tensor, _ t: Tensor) -> Tensor {
    guard field.conditions != nil else { return { x, t in field(x, t: t, condition: .none) } }
    let guided = GuidedField(
      field, scale: Float(entry["cfg_scale"]?.double ?? 1), nullLabel: batch)
    let condition = Condition(labels: Array(0..<batch))
    return { x, t in guided(x, t: t, condition: condition) }
  }
}
