import Diagnostics
import FlowCore
import FlowData
import FlowModels
import FlowNN
import FlowTensor

/// Replays sampling with a network of LFM's and a first stage (`M_*`):
/// noise → solver → latent → image.
///
/// - Returns: per run latent, image in [0, 1], 8-bit image and number of evaluations.
public func replaySamplingCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  guard let net = c.config["net"], let vae = c.config["vae"],
    let scale = c.config["scale_factor"]?.double, let runs = c.config["runs"]?.array
  else {
    throw UserError(
      .badData, c.file.path, at: "header entry config", found: "\(c.config.kind)",
      expected: "net, vae, scale_factor and runs")
  }
  let network = try c.network(net, part: "net", training: false)
  let (firstStage, _, _) = try c.autoencoder(vae, part: "vae", training: false)
  return try runs.flatMap { entry in
    let run = try SamplingCaseRun(entry, of: c)
    let found = try run.integrate(network, c)
    let image = firstStage.decode(Float(1 / scale) * found.final)  // [B, H, W, 3]
    return try run.rows(c, found, image)
  }
}

/// One entry of the `runs` of a sampling case.
private struct SamplingCaseRun {
  let tag: String
  let entry: JSONValue
  let path: String

  init(_ entry: JSONValue, of c: ReferenceCase) throws {
    guard let tag = entry["tag"]?.string else {
      throw UserError(
        .badData, c.file.path, at: "header entry config", found: "a run without a tag")
    }
    (self.tag, self.entry, path) = (tag, entry, c.file.path)
  }

  func integrate(_ network: Network, _ c: ReferenceCase) throws -> Trajectory {
    let noise = nhwc(try c.input("noise"))  // [B, h, w, C]
    let labels = entry["labels"]?.bool == false ? nil : try c.ints(.inputs, "y")
    let condition = Condition(labels: labels)
    guard let scale = entry["cfg_scale"]?.double else {
      return try integrate(network, condition, from: noise)
    }
    guard let nullLabel = network.specification.nullLabel else {
      throw UserError(
        .badData, path, at: "run \(tag)", found: "guidance of a network without a null class")
    }
    let field = GuidedField(network, scale: Float(scale), nullLabel: nullLabel)
    return try integrate(field, condition, from: noise)
  }

  private func integrate<Field: VelocityField>(
    _ field: Field, _ condition: Condition, from noise: Tensor
  ) throws -> Trajectory {
    if let name = entry["sampler"]?.string {
      guard let method = KarrasSampler.Method(rawValue: name), let steps = entry["steps"]?.int,
        steps > 1
      else { throw unusable }
      let sampler = KarrasSampler(
        method, times: KarrasSampler.evenTimes(steps), assumedSteps: 40)
      return sampler.integrate(from: noise, noise: { _ in noise }) { x, t in
        field(x, t: t, condition: condition)
      }
    }
    guard let tableau = entry["method"]?.string.flatMap(ButcherTableau.named) else {
      throw unusable
    }
    // LFM's default tolerances.
    let solver: any ODESolver =
      tableau.isAdaptive
      ? AdaptiveSolver(
        tableau, relativeTolerance: 1e-5, absoluteTolerance: 1e-5, errorControl: .batch)
      : FixedStepSolver(
        tableau, grid: entry["step_size"]?.double.map { .stepSize($0) } ?? .outputTimes)
    return try solver.integrate(field, condition: condition, from: noise, through: [1, 0])
  }

  private var unusable: UserError {
    UserError(
      .badData, path, at: "header entry config, run \(tag)", found: "no usable method or sampler",
      expected: "sampler euler or heun with steps, or one of "
        + ButcherTableau.all.map(\.name).joined(separator: ", "))
  }

  /// - Parameter image: [B, H, W, 3] in about [−1, 1]
  func rows(_ c: ReferenceCase, _ found: Trajectory, _ image: Tensor) throws -> [ReplayRow] {
    let planes = nchw(image)
    let unit = planes.values.map { min(max(($0 + 1) / 2, 0), 1) }
    let levels = planes.values.map { Int(ToneMap.nearest.level($0)) }
    return [
      try c.row("\(tag).latent", nchw(found.final).values),
      try c.row("\(tag).image", unit),
      try c.row(levels: "\(tag).uint8", levels),
      try c.row(exactly: "\(tag).nfe", [found.calls]),
    ].compactMap { $0 }
  }
}

extension ReferenceCase {
  /// The row of an 8-bit image: levels may differ by 1 where round-off decides, in at most one of
  /// a hundred samples. The error is the share that differs, infinite for a difference above 1.
  fileprivate func row(levels name: String, _ found: [Int]) throws -> ReplayRow {
    let expected = try ints(.outputs, name)
    let differences = zip(found, expected).map { abs($0 - $1) }
    let share = Double(differences.count { $0 > 0 }) / Double(max(1, expected.count))
    let holds = found.count == expected.count && differences.allSatisfy { $0 <= 1 }
    return ReplayRow(name: name, error: holds ? share : .infinity, tolerance: 0.01)
  }
}
