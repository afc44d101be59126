import ArgumentParser
import Diagnostics
import FlowCore

/// `--solver` and what goes with the methods: steps, tolerances, diffusion, churn.
struct SolverOptions: ParsableArguments {
  @Option(help: "\(SolverKind.all.map(\.name).joined(separator: ", ")).")
  var solver = "dopri5"

  @Option(help: "Steps of a method without error control. (default: 40)")
  var steps: Int?
  @Option(help: "Length of its steps instead.")
  var stepSize: Double?
  @Option(help: "Ends of its steps instead, as 1,0.8,0.4,0; the model's times, noise first.")
  var times: String?
  @Flag(help: "Evaluate just after a step's start and just before its end (Runge-Kutta).")
  var perturb = false

  @Option(help: "Relative tolerance of an adaptive solver. (default: 1e-5)")
  var rtol: Double?
  @Option(help: "Absolute tolerance of an adaptive solver. (default: 1e-5)")
  var atol: Double?
  @Option(help: "Error control of an adaptive solver: sample or batch. (default: sample)")
  var errorControl: String?

  @Option(
    help: ArgumentHelp(
      "Solve the stochastic equation with euler or heun; its diffusion: "
        + DiffusionCoefficient.Form.allCases.map(\.rawValue).joined(separator: ", ") + "."))
  var sde: String?
  @Option(help: "Factor of the diffusion. (default: 1)")
  var sdeNorm: Double?
  @Option(help: "Last step of --sde: none, Mean, Euler or Tweedie. (default: Mean)")
  var lastStep: String?
  @Option(help: "Length of the last step. (default: 0.04)")
  var lastStepSize: Double?

  @Option(help: "Churn of karras_heun. (default: 0)")
  var churn: Double?
  @Option(help: "Noise levels a,b between which churn applies. (default: 0,1)")
  var churnRange: String?
  @Option(help: "Factor of churn's noise. (default: 1)")
  var churnNoise: Double?
  @Option(help: "The steps that LFM's karras_heun assumes, 40: a plain Euler beyond them.")
  var assumedSteps: Int?

  func validate() throws {
    guard let kind = SolverKind.named(solver) else {
      throw unknown("--solver", solver, SolverKind.all.map(\.name))
    }
    try refuseForeignOptions(kind)
    if [steps != nil, stepSize != nil, times != nil].count(where: { $0 }) > 1 {
      throw ValidationError("give one of --steps, --step-size and --times.")
    }
    if let steps, steps < 1 { throw ValidationError("--steps \(steps): expected at least 1.") }
    for (name, value) in [
      ("--rtol", rtol), ("--atol", atol), ("--step-size", stepSize),
    ] {
      if let value, !(value > 0 && value.isFinite) {
        throw ValidationError("\(name) \(value): expected above 0.")
      }
    }
    for (name, value) in [
      ("--sde-norm", sdeNorm), ("--churn", churn), ("--churn-noise", churnNoise),
    ] {
      if let value, !(value >= 0 && value.isFinite) {
        throw ValidationError("\(name) \(value): expected 0 or more.")
      }
    }
    if let text = times, numbers(text).map({ $0.count >= 2 }) != true {
      throw ValidationError("--times \(text): expected two or more numbers, as 1,0.5,0.")
    }
    if let errorControl, !["sample", "batch"].contains(errorControl) {
      throw ValidationError("--error-control \(errorControl): expected sample or batch.")
    }
    if let assumedSteps, assumedSteps < 1 {
      throw ValidationError("--assumed-steps \(assumedSteps): expected at least 1.")
    }
    _ = try churnLevels()
    _ = try stochastic()
  }

  /// An option that the method would ignore is a mistake.
  private func refuseForeignOptions(_ kind: SolverKind) throws {
    if kind.isAdaptive, steps != nil {
      throw ValidationError("--steps: \(solver) chooses its own steps; give --rtol and --atol.")
    }
    if !kind.isAdaptive, rtol != nil || atol != nil {
      throw ValidationError("--rtol and --atol: \(solver) has fixed steps; give --steps.")
    }
    var isRungeKutta = false
    var isKarras = false
    var isKarrasHeun = false
    switch kind {
    case .rungeKutta(let tableau): isRungeKutta = !tableau.isAdaptive && sde == nil
    case .karras(let method): (isKarras, isKarrasHeun) = (true, method == .heun)
    case .adamsBashforth, .dataPrediction: break
    }
    let hasGrid = !kind.isAdaptive && !isKarras && sde == nil
    let rows: [(option: String, isGiven: Bool, applies: Bool)] = [
      ("--step-size", stepSize != nil, hasGrid), ("--times", times != nil, hasGrid),
      ("--perturb", perturb, isRungeKutta),
      ("--error-control", errorControl != nil, kind.isAdaptive),
      ("--sde", sde != nil, ["euler", "heun"].contains(solver)),
      ("--sde-norm", sdeNorm != nil, sde != nil), ("--last-step", lastStep != nil, sde != nil),
      ("--last-step-size", lastStepSize != nil, sde != nil),
      ("--churn", churn != nil, isKarrasHeun), ("--churn-range", churnRange != nil, isKarrasHeun),
      ("--churn-noise", churnNoise != nil, isKarrasHeun),
      ("--assumed-steps", assumedSteps != nil, isKarrasHeun),
    ]
    for row in rows where row.isGiven && !row.applies {
      throw ValidationError(
        "\(row.option): \(solver)\(sde == nil ? "" : " with --sde") does not take it.")
    }
  }

  /// - Throws: `UserError` of status `usage` where `--times` does not fit the path.
  func sampler(along path: any ProbabilityPath) throws -> any FlowSampler {
    if let stochastic = try stochastic() { return stochastic }
    switch SolverKind.named(solver)! {
    case .rungeKutta(let tableau) where tableau.isAdaptive:
      return AdaptiveSolver(
        tableau, relativeTolerance: rtol ?? 1e-5, absoluteTolerance: atol ?? 1e-5,
        errorControl: errorControl == "batch" ? .batch : .perSample)
    case .rungeKutta(let tableau):
      return FixedStepSolver(tableau, grid: try grid(path), perturb: perturb)
    case .adamsBashforth(let order):
      return AdamsBashforth(order: order, grid: try grid(path))
    case .dataPrediction:
      return DataPredictionSolver(grid: try grid(path))
    case .karras(let method):
      return KarrasSampler(
        method, times: KarrasSampler.evenTimes((steps ?? 40) + 1),
        churn: KarrasSampler.Churn(
          amount: churn ?? 0, times: try churnLevels(), noiseScale: churnNoise ?? 1),
        assumedSteps: assumedSteps)
    }
  }

  private func grid(_ path: any ProbabilityPath) throws -> StepGrid {
    if let stepSize { return .stepSize(stepSize) }
    guard let times, let points = numbers(times) else { return .steps(steps ?? 40) }
    let (start, end) = path.direction.samplingInterval
    let isInOrder = zip(points, points.dropFirst()).allSatisfy {
      start < end ? $0 < $1 : $0 > $1
    }
    guard points.first == start, points.last == end, isInOrder else {
      throw UserError(
        .usage, "--times", found: times,
        expected: "times from \(start) \(start < end ? "up" : "down") to \(end)")
    }
    return .points(points)
  }

  private func stochastic() throws -> StochasticSolver? {
    guard let sde else { return nil }
    let form: DiffusionCoefficient.Form = try choice("--sde", sde)
    let last: StochasticSolver.LastStep = try choice("--last-step", lastStep ?? "Mean")
    let size = lastStepSize ?? 0.04
    guard size > 0, size < 0.5 else {
      throw ValidationError("--last-step-size \(size): expected above 0 and below 0.5.")
    }
    let count = steps ?? 40
    guard count >= 2 else { throw ValidationError("--steps \(count): --sde takes 2 or more.") }
    return StochasticSolver(
      try choice("--solver", solver),
      diffusion: DiffusionCoefficient(form, norm: sdeNorm ?? 1), steps: count, lastStep: last,
      lastStepSize: size)
  }

  private func churnLevels() throws -> ClosedRange<Double> {
    guard let text = churnRange else { return 0...1 }
    guard let ends = numbers(text), ends.count == 2, ends[0] <= ends[1] else {
      throw ValidationError("--churn-range \(text): expected two levels, the smaller first.")
    }
    return ends[0]...ends[1]
  }
}

/// Finite numbers between commas; nil for anything else.
func numbers(_ text: String) -> [Double]? {
  let values = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
  return values.allSatisfy { $0?.isFinite == true } ? values.compactMap(\.self) : nil
}

private func choice<Choice: RawRepresentable & CaseIterable>(
  _ option: String, _ text: String
) throws -> Choice where Choice.RawValue == String {
  if let choice = Choice(rawValue: text) { return choice }
  throw unknown(option, text, Choice.allCases.map(\.rawValue))
}

private func unknown(_ option: String, _ text: String, _ names: [String]) -> ValidationError {
  let near = nearestName(to: text, among: names)
  return ValidationError(
    "\(option) \(text): unknown"
      + (near.map { "; did you mean \($0)?" } ?? "; expected \(names.joined(separator: ", "))."))
}
