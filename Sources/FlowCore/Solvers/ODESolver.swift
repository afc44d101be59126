import FlowTensor

/// Integrates dx/dt = f(x, t) for a batch of samples that share nothing but the calls of f.
public protocol ODESolver: FlowSampler {
  /// - Parameters:
  ///   - x0: states at `times[0]`, [B, …]
  ///   - times: output times, at least two, strictly rising or strictly falling
  ///   - field: f; receives states [B, …] and one time per sample [B], and must not keep the
  ///     states: their memory is used again
  /// - Throws: `SolverFailure`
  func integrate(
    from x0: Tensor, through times: [Double], _ field: (_ x: Tensor, _ t: Tensor) throws -> Tensor
  ) throws -> Trajectory
}

extension ODESolver {
  /// Integrates a velocity field under a condition.
  public func integrate<Field: VelocityField>(
    _ field: Field, condition: Condition, from x0: Tensor, through times: [Double]
  ) throws -> Trajectory {
    try integrate(from: x0, through: times) { x, t in field(x, t: t, condition: condition) }
  }
}

/// What a solver found.
public struct Trajectory {
  /// The states at the output times, each [B, …]; the first is the start.
  public let states: [Tensor]
  /// Evaluations of the field that each sample needed (NFE), [B]. A sample that has arrived counts
  /// no more, even where it still fills its place in the batch.
  public let evaluations: [Int]
  /// Calls of the field.
  public let calls: Int

  public var final: Tensor { states[states.count - 1] }
}

/// Why an integration could not be finished.
public enum SolverFailure: Error, Equatable, CustomStringConvertible {
  /// The state or the error estimate of a sample is NaN or infinite.
  case notFinite(sample: Int, time: Double)
  /// The step that the error asks for vanishes against the time.
  case stepTooSmall(sample: Int, time: Double, step: Double)
  case tooManySteps(sample: Int, time: Double, limit: Int)

  public var description: String {
    switch self {
    case .notFinite(let sample, let time):
      "sample \(sample): the velocity is not finite at t = \(time)"
    case .stepTooSmall(let sample, let time, let step):
      "sample \(sample): a step of \(step) at t = \(time) no longer moves the time; "
        + "raise the tolerances"
    case .tooManySteps(let sample, let time, let limit):
      "sample \(sample): \(limit) steps reached only t = \(time); "
        + "raise the tolerances or the limit"
    }
  }
}

/// Time as a solver sees it: always rising. Falling times are negated, and so is the field.
struct SolverClock {
  let sign: Double
  /// The output times, rising.
  let outputs: [Double]

  init(_ times: [Double]) {
    precondition(times.count >= 2, "an integration needs at least two times, not \(times)")
    let sign: Double = times[0] > times[1] ? -1 : 1
    let outputs = times.map { sign * $0 }
    precondition(
      zip(outputs, outputs.dropFirst()).allSatisfy { $0 < $1 },
      "times must rise or fall strictly: \(times)")
    self.sign = sign
    self.outputs = outputs
  }

  enum Nudge {
    case none, next, previous
  }

  /// The caller's time in float32; `nudge` moves it to the adjacent number in the solver's
  /// direction, to stay on one side of a jump of the field.
  func callerTime(_ time: Double, _ nudge: Nudge = .none) -> Float {
    let rounded = Float(time)
    return switch nudge {
    case .none: Float(sign) * rounded
    case .next: Float(sign) * rounded.nextUp
    case .previous: Float(sign) * rounded.nextDown
    }
  }
}

/// Calls the field and hands out slopes that are safe to keep: a field may return its argument.
func slope(
  _ x: Tensor, _ t: [Float], _ field: (Tensor, Tensor) throws -> Tensor
) rethrows -> Tensor {
  let k = try field(x, Tensor([t.count], t))
  precondition(k.shape == x.shape, "the field maps \(x.shape) to \(k.shape)")
  return k.storage === x.storage ? k.copy() : k
}
