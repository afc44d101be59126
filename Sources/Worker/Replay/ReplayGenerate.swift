import Diagnostics
import FlowCore
import FlowData
import FlowTensor

/// Replays FMBoost's `generate` (`I_generate`): ODE and SDE sampling with its defaults.
///
/// - Returns: per run the final state, or the states it returns on request, and the calls.
public func replayGenerateCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  let field = try ReplayMLP(c, conditions: try c.flowConditions())
  return try ReplayRun.all(of: c).flatMap { run in
    let arguments = try run.sampleArguments
    let (states, calls) =
      arguments.entry["use_sde"]?.bool == true
      ? try arguments.sampleSDE(
        c, field, along: run.probabilityPath(), methodKey: "method")
      : try arguments.integrate(c, field, isReversed: run.entry["reverse"]?.bool ?? false)
    let last = states.count - 1
    let shown =
      run.entry["return_intermediates"]?.bool == true
      ? [0] + stride(from: 1, to: last, by: arguments.entry["intermediate_freq"]?.int ?? 5) + [last]
      : [last]
    return [
      try c.row(run.tag, shown.flatMap { states[$0].values }),
      try c.row(exactly: "\(run.tag).nfe", [calls]),
    ].compactMap { $0 }
  }
}

extension ReplayRun {
  /// An ODE method on `num_steps` evenly spaced times, 50 without more said.
  fileprivate func integrate(
    _ c: ReferenceCase, _ field: ReplayMLP, isReversed: Bool
  ) throws -> (states: [Tensor], calls: Int) {
    let name = entry["method"]?.string ?? "euler"
    guard let tableau = ButcherTableau.named(name) else {
      throw unusable(
        "method \(name)", expected: ButcherTableau.all.map(\.name).joined(separator: ", "))
    }
    let points = entry["num_steps"]?.int ?? 50
    guard points >= 2 else { throw unusable("num_steps \(points)", expected: "2 or more") }
    let times = (0..<points).map { i in
      let t = Double(i) / Double(points - 1)
      return isReversed ? 1 - t : t
    }
    let solver: any ODESolver =
      tableau.isAdaptive
      ? AdaptiveSolver(
        tableau, relativeTolerance: entry["rtol"]?.double ?? 1e-3,
        absoluteTolerance: entry["atol"]?.double ?? 1e-6, errorControl: .batch)
      : FixedStepSolver(tableau, grid: .outputTimes)
    let x0 = try c.input("x0")
    let found = try solver.integrate(
      from: x0, through: times, velocity(of: field, batch: x0.shape[0]))
    return (found.states, found.calls)
  }
}
