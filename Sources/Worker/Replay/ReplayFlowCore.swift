import Diagnostics
import FlowCore
import FlowData
import FlowTensor

/// Replays the mathematics of a flow case (`I_flow_core`): points and losses of the paths with the
/// gradients, what a velocity says about score and noise, diffusion coefficients, guidance.
public func replayFlowCoreCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  let width = Float(c.config["sigma_min"]?.double ?? 0)
  var rows = try replayGuidedVelocity(c)
  for (tag, path) in [
    ("linear", LinearPath() as any ProbabilityPath),
    ("linear_smin", LinearPath(sigmaMin: width)), ("gvp", GVPPath()),
  ] {
    rows += try replayPathLoss(c, tag, path)
    if tag != "linear_smin" { rows += try replaySchedule(c, tag, path) }
  }
  return rows
}

private func replayPathLoss(
  _ c: ReferenceCase, _ tag: String, _ path: any ProbabilityPath
) throws -> [ReplayRow] {
  let point = path.sample(
    x0: try c.input("x0"), x1: try c.input("x1"), t: try c.input("t"),
    smoothing: try c.input("eps"))
  let tape = Tape()
  let network = try ReplayMLP(c, conditions: [c.input("y")]).riding(tape)
  let labels = Condition(labels: Array(0..<point.t.count))
  let loss = meanSquaredError(
    network(point.xt, t: point.t, condition: labels), point.velocity)
  let rows = [
    try c.row("\(tag).xt", point.xt.values),
    try c.row("\(tag).ut", point.velocity.values),
    try c.row("\(tag).loss", [loss.item]),
  ].compactMap { $0 }
  tape.backward(from: loss)
  return try rows
    + ["W1", "b1", "W2", "b2"].map { key in
      let name = "\(tag).\(key)"
      let expected = try c.doubles(.grads, name)
      guard let found = network.gradient(key), found.count == expected.count,
        case .relativeL2(let bound) = c.tolerance(.grads, name)
      else { return ReplayRow(name: "grads.\(name)", error: .infinity, tolerance: 0) }
      let error = gradientError(
        found: found, expected: expected, totalNorm: c.gradientsTotalNorm ?? 0)
      return ReplayRow(name: "grads.\(name)", error: error, tolerance: bound)
    }
}

/// Score, noise and velocity from each other at the state x1, and the coefficients.
private func replaySchedule(
  _ c: ReferenceCase, _ tag: String, _ path: any ProbabilityPath
) throws -> [ReplayRow] {
  let (x, v) = (try c.input("x1"), try c.input("v"))
  let times = try c.doubles(.inputs, "t")
  let schedules = times.map(path.schedule)
  let norm = c.config["norm"]?.double ?? 1
  func mixed(_ mixture: (PathSchedule) -> PathSchedule.Mixture) -> [Float] {
    linearCombination(
      [v, x],
      coefficients: schedules.map(mixture).flatMap { [Float($0.velocity), Float($0.state)] }
    ).values
  }
  func coefficients(_ form: DiffusionCoefficient.Form, _ norm: Double) -> [Double] {
    zip(times, schedules).map { DiffusionCoefficient(form, norm: norm)(at: $0, $1) }
  }
  var rows = [
    try c.row("\(tag).score_from_velocity", mixed(\.scoreFromVelocity)),
    try c.row("\(tag).noise_from_velocity", mixed(\.noiseFromVelocity)),
    // The case takes its velocities for scores.
    try c.row("\(tag).velocity_from_score", mixed(\.velocityFromScore)),
    // The drift of the forward process: the state's part of a velocity, backwards in time.
    try c.row(
      "\(tag).drift",
      mixed { PathSchedule.Mixture(velocity: 0, state: -$0.velocityFromScore.state) }),
    try c.row("\(tag).drift_diffusion", coefficients(.sbdm, 1)),
  ]
  for form in DiffusionCoefficient.Form.allCases where form != .constant {
    rows.append(
      try c.row("\(tag).diffusion.\(form.rawValue)", coefficients(form, norm)))
  }
  return rows.compactMap { $0 }
}

/// The network alone and under guidance, whose null row is shared or each sample's own.
private func replayGuidedVelocity(_ c: ReferenceCase) throws -> [ReplayRow] {
  let (x, t) = (try c.input("x1"), try c.input("t"))
  let batch = x.shape[0]
  let network = try ReplayMLP(
    c, conditions: [c.input("y"), c.input("uc"), c.input("uc_full")])
  let scale = Float(c.config["cfg_scale"]?.double ?? 1)
  let labels = Condition(labels: Array(0..<batch))
  let first = Tensor(t.shape, fill: t.base[0])
  let shared = GuidedField(network, scale: scale, nullLabel: batch)
  let own = (0..<batch).flatMap { b in
    GuidedField(network, scale: scale, nullLabel: batch + 1 + b)(
      x.slice(b..<b + 1), t: t.slice(b..<b + 1), condition: Condition(labels: [b])
    ).values
  }
  return [
    try c.row("forward", network(x, t: t, condition: labels).values),
    try c.row("forward_scalar_t", network(x, t: first, condition: labels).values),
    try c.row("cfg_uc1", shared(x, t: t, condition: labels).values),
    try c.row("cfg_uc_full", own),
  ].compactMap { $0 }
}
