import Foundation
import FlowTensor

/// The state of one adaptive integration. A group is what steps together: a sample, or the batch.
struct AdaptiveRun {
  private struct Group {
    /// Rising time of the state, and the step that the controller asks for.
    var time: Double
    var step: Double
    /// Where the step in hand ends: `time + step`, or an output time to land on.
    var end: Double
    /// Index of the next output time; one past the last when the group has arrived.
    var nextOutput = 1
    var evaluations = 0
    var attempts = 0
  }

  private let solver: AdaptiveSolver
  private let clock: SolverClock
  private let batch: Int
  private var groups: [Group]
  private var calls = 0
  /// States at the output times, each [B, …].
  private let outputs: [Tensor]
  /// States and slopes at the groups' times, [B, …].
  private let y: Tensor
  private let slopeAtStart: Tensor
  /// Where a stage is evaluated, and where a step leads to, [B, …].
  private let stage: Tensor
  private let solution: Tensor
  /// Slopes of the stages of the step in hand.
  private var k: [Tensor] = []

  private var tableau: ButcherTableau { solver.tableau }
  private var groupSize: Int { y.count / groups.count }

  init(_ solver: AdaptiveSolver, from x0: Tensor, _ clock: SolverClock) {
    self.solver = solver
    self.clock = clock
    batch = x0.shape[0]
    let count = solver.errorControl == .perSample ? batch : 1
    let start = clock.outputs[0]
    groups = Array(repeating: Group(time: start, step: 0, end: start), count: count)
    outputs = [x0.copy()] + clock.outputs.dropFirst().map { _ in Tensor(uninitialized: x0.shape) }
    y = x0.copy()
    slopeAtStart = Tensor(uninitialized: x0.shape)
    stage = Tensor(uninitialized: x0.shape)
    solution = Tensor(uninitialized: x0.shape)
  }

  var isUnderWay: Bool { groups.contains(where: isActive) }

  var trajectory: Trajectory {
    let perGroup = groups.map(\.evaluations)
    return Trajectory(
      states: outputs,
      evaluations: perGroup.count == batch
        ? perGroup : Array(repeating: perGroup[0], count: batch),
      calls: calls)
  }

  private func isActive(_ group: Group) -> Bool { group.nextOutput < clock.outputs.count }

  /// The slope at the start and the length of the first step.
  mutating func start(_ field: (Tensor, Tensor) throws -> Tensor) throws {
    let f0 = try evaluate(y, groups.map(\.time), .none, field)
    slopeAtStart.base.update(from: f0.base, count: f0.count)
    if let first = solver.firstStep {
      for g in groups.indices { groups[g].step = first }
      return
    }
    // Hairer, Nørsett & Wanner I, § II.4, algorithm (a) … (f).
    let d0 = scaledNorm([y], [1])
    let d1 = scaledNorm([f0], [1])
    let h0 = zip(d0, d1).map { $0 < 1e-5 || $1 < 1e-5 ? 1e-6 : 0.01 * $0 / $1 }
    linearCombination(y, [f0], coefficients: h0.map { Float(clock.sign * $0) }, into: stage)
    let f1 = try evaluate(stage, zip(groups, h0).map { $0.time + $1 }, .none, field)
    let difference = scaledNorm([f1, f0], [1, -1])
    for g in groups.indices {
      let d2 = difference[g] / h0[g]
      let h1 =
        d1[g] <= 1e-15 && d2 <= 1e-15
        ? max(1e-6, h0[g] * 1e-3)
        : pow(0.01 / max(d1[g], d2), 1 / Double(tableau.order))
      groups[g].step = min(100 * h0[g], h1)
    }
  }

  /// Chooses the end of each active group's step, then evaluates its stages; frozen groups stay
  /// where they are.
  mutating func tryStep(_ field: (Tensor, Tensor) throws -> Tensor) throws {
    for g in groups.indices where isActive(groups[g]) { groups[g].end = try endOfStep(g) }
    k = [slopeAtStart]
    for (row, node) in zip(tableau.stages, tableau.nodes.dropFirst()) {
      let isLast = k.count == tableau.nodes.count - 1
      let target = isLast && tableau.lastStageIsAtSolution ? solution : stage
      linearCombination(y, k, coefficients: stepCoefficients(row), into: target)
      // A stage at the end of the step stays just before it, in case the field jumps there.
      let times = groups.map { node == 1 ? $0.end : $0.time + node * ($0.end - $0.time) }
      k.append(try evaluate(target, times, node == 1 ? .previous : .none, field))
    }
    if !tableau.lastStageIsAtSolution {
      linearCombination(y, k, coefficients: stepCoefficients(tableau.weights), into: solution)
    }
  }

  private func endOfStep(_ g: Int) throws -> Double {
    let group = groups[g]
    let time = clock.sign * group.time
    guard group.step.isFinite else { throw SolverFailure.notFinite(sample: g, time: time) }
    guard group.time + group.step > group.time else {
      throw SolverFailure.stepTooSmall(sample: g, time: time, step: group.step)
    }
    guard group.attempts < solver.maximumSteps else {
      throw SolverFailure.tooManySteps(sample: g, time: time, limit: solver.maximumSteps)
    }
    let end = group.time + group.step
    return solver.landsOnOutputs ? min(end, clock.outputs[group.nextOutput]) : end
  }

  /// Accepts or rejects the step of each active group and chooses its next one.
  mutating func judgeStep(_ watching: (AdaptiveSolver.Attempt) -> Void) throws {
    let errorWeights = zip(tableau.weights, tableau.embeddedWeights!).map { $0 - $1 }
    let ratios = scaledRootMeanSquare(
      of: k, coefficients: stepCoefficients(errorWeights), a: y, b: solution,
      absolute: solver.absoluteTolerance, relative: solver.relativeTolerance)
    for g in groups.indices where isActive(groups[g]) {
      let before = groups[g]
      guard !ratios[g].isNaN else {
        throw SolverFailure.notFinite(sample: g, time: clock.sign * before.time)
      }
      let accepted = ratios[g] <= 1
      let isCut = before.end < before.time + before.step
      let tried = isCut ? before.end - before.time : before.step
      groups[g].attempts += 1
      if accepted { accept(g) }
      let next = solver.nextStep(after: tried, errorRatio: ratios[g])
      // A step cut short by an output time says nothing against the longer one.
      groups[g].step = isCut && accepted ? max(next, before.step) : next
      watching(
        AdaptiveSolver.Attempt(
          group: g, time: before.time, step: tried, accepted: accepted, nextStep: groups[g].step))
    }
  }

  /// Writes the output times that the step passed, then moves the group to the end of the step.
  private mutating func accept(_ g: Int) {
    let start = groups[g].time
    let end = groups[g].end
    let signedStep = signedStep(groups[g])
    let y0 = part(y, g), y1 = part(solution, g)
    let slopes = k.map { part($0, g) }
    if clock.outputs[groups[g].nextOutput] <= end {
      let middle = Tensor(uninitialized: y0.shape)
      linearCombination(
        y0, slopes, coefficients: tableau.midpointWeights!.map { Float($0) * signedStep },
        into: middle)
      while isActive(groups[g]), clock.outputs[groups[g].nextOutput] <= end {
        let output = part(outputs[groups[g].nextOutput], g)
        if solver.landsOnOutputs {
          output.base.update(from: y1.base, count: y1.count)
        } else {
          let x = (clock.outputs[groups[g].nextOutput] - start) / (end - start)
          quarticInterpolation(
            y0: y0, middle: middle, y1: y1, f0: slopes[0], f1: slopes[slopes.count - 1],
            dt: signedStep, at: Float(x), into: output)
        }
        groups[g].nextOutput += 1
      }
    }
    y0.base.update(from: y1.base, count: y0.count)
    slopes[0].base.update(from: slopes[slopes.count - 1].base, count: y0.count)
    // A frozen group waits at the last output time, not beyond it.
    groups[g].time = isActive(groups[g]) ? end : clock.outputs[clock.outputs.count - 1]
    groups[g].end = groups[g].time
  }

  /// Group `g` of a batch, as a vector; shares memory.
  private func part(_ x: Tensor, _ g: Int) -> Tensor {
    Tensor(storage: x.storage, offset: x.offset + g * groupSize, shape: [groupSize])
  }

  /// Each group's weights times its signed step, [groups, weights]; zero for frozen groups.
  private func stepCoefficients(_ weights: [Double]) -> [Float] {
    groups.flatMap { group in
      let step = signedStep(group)
      return weights.map { Float($0) * step }
    }
  }

  /// The length of the step in hand in the caller's time; zero for frozen groups.
  private func signedStep(_ group: Group) -> Float {
    let isCut = group.end < group.time + group.step
    return isActive(group) ? Float(clock.sign * (isCut ? group.end - group.time : group.step)) : 0
  }

  /// Norm of Σ c_i·terms_i in units of the tolerance at y.
  private func scaledNorm(_ terms: [Tensor], _ c: [Float]) -> [Double] {
    scaledRootMeanSquare(
      of: terms, coefficients: groups.flatMap { _ in c }, a: y, b: y,
      absolute: solver.absoluteTolerance, relative: solver.relativeTolerance)
  }

  private mutating func evaluate(
    _ x: Tensor, _ times: [Double], _ nudge: SolverClock.Nudge,
    _ field: (Tensor, Tensor) throws -> Tensor
  ) throws -> Tensor {
    calls += 1
    for g in groups.indices where isActive(groups[g]) { groups[g].evaluations += 1 }
    let t = zip(groups, times).map { clock.callerTime($1, isActive($0) ? nudge : .none) }
    return try slope(x, t.count == batch ? t : Array(repeating: t[0], count: batch), field)
  }
}
