import Diagnostics
import FlowCore
import FlowData
import FlowTensor

/// Replays a solver case (`H_*`): every run's states, evaluations and, for adaptive solvers, each
/// tried step.
public func replaySolverCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  let field = try ReplayField(c)
  return try ReplayRun.all(of: c).flatMap { run in
    run.entry["sampler"] == nil ? try replayODE(c, run, field) : try replayKarras(c, run, field)
  }
}

private func replayODE(
  _ c: ReferenceCase, _ run: ReplayRun, _ field: ReplayField
) throws -> [ReplayRow] {
  let method = try run.string("method")
  guard let tableau = ButcherTableau.named(method) else {
    throw run.unusable(
      "method \(method)", expected: ButcherTableau.all.map(\.name).joined(separator: ", "))
  }
  let x0 = try c.input("y0")
  let times = try c.doubles(.inputs, run.string("t"))
  var evaluated: [Double] = []
  var steps: [Double] = []
  func watched(_ x: Tensor, _ t: Tensor) -> Tensor {
    evaluated.append(Double(t.base[0]))
    return field(x, t)
  }
  let found: Trajectory
  if tableau.isAdaptive {
    let solver = AdaptiveSolver(
      tableau, relativeTolerance: try run.double("rtol"),
      absoluteTolerance: try run.double("atol"), errorControl: .batch)
    found = try solver.integrate(
      from: x0, through: times,
      watching: { steps += [$0.time, $0.step, $0.accepted ? 1 : 0, $0.nextStep] }, watched)
  } else {
    let options = run.entry["options"]
    let size = options?["step_size"]?.double
    let solver = FixedStepSolver(
      tableau, grid: size.map { .stepSize($0) } ?? .outputTimes,
      perturb: options?["perturb"]?.bool ?? false)
    found = try solver.integrate(from: x0, through: times, watched)
  }
  var rows = [
    try c.row("\(run.tag).solution", found.states.flatMap(\.values)),
    try c.row(exactly: "\(run.tag).nfe", [found.calls]),
    try c.row("\(run.tag).eval_t", evaluated),
  ]
  if tableau.isAdaptive { rows.append(try c.row("\(run.tag).steps", steps)) }
  return rows.compactMap { $0 }
}

private func replayKarras(
  _ c: ReferenceCase, _ run: ReplayRun, _ field: ReplayField
) throws -> [ReplayRow] {
  let method = try run.choice("sampler", KarrasSampler.Method.euler)
  let arguments = run.entry["args"]
  let sampler = KarrasSampler(
    method,
    times: KarrasSampler.evenTimes(
      try run.int("steps"), from: try run.double("sigma_max"), to: try run.double("sigma_min")),
    churn: KarrasSampler.Churn(
      amount: arguments?["s_churn"]?.double ?? 0,
      times: (arguments?["s_tmin"]?.double ?? 0)...(arguments?["s_tmax"]?.double ?? 1),
      noiseScale: arguments?["s_noise"]?.double ?? 1),
    assumedSteps: 40)
  let x0 = try c.input("y0")
  let noise = try c.input("noise")
  let found = sampler.integrate(
    from: x0, noise: { noise.slice($0..<$0 + 1).reshaped(x0.shape) }, field.callAsFunction)
  return [
    try c.row("\(run.tag).final", found.final.values),
    try c.row("\(run.tag).sigmas", sampler.times),
    try c.row(exactly: "\(run.tag).nfe", [found.calls]),
  ].compactMap { $0 }
}
