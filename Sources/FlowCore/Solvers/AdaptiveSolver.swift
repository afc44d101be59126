import Foundation
import FlowTensor

/// Runs a tableau with an embedded error estimate under a step-size controller.
///
/// The algorithm is torchdiffeq 0.2.5's: rms norms, Hairer's first step (Hairer, Nørsett & Wanner
/// I, § II.4), controller with safety 0.9 and factors 0.2 … 10, times in Double. Batch control
/// follows it to the end; control per sample lands on the output times instead of passing them.
public struct AdaptiveSolver: ODESolver, Equatable {
  /// Whose error a step answers to.
  public enum ErrorControl: String, Sendable, CaseIterable {
    /// Each sample has its own time and step; it depends on no other sample of the batch. A sample
    /// that has arrived stays in its place, frozen, until the last one arrives.
    case perSample
    /// One norm over the batch, as torchdiffeq: a sample's steps depend on its neighbours.
    case batch
  }

  /// One tried step, for those who want to watch.
  public struct Attempt: Equatable, Sendable {
    /// The sample, or 0 where the batch steps as one.
    public let group: Int
    /// The solver's rising time (negated where time falls) before the step.
    public let time: Double
    public let step: Double
    public let accepted: Bool
    public let nextStep: Double
  }

  public let tableau: ButcherTableau
  public let relativeTolerance: Double
  public let absoluteTolerance: Double
  public let errorControl: ErrorControl
  /// Whether a step that would pass an output time ends there. Otherwise, as in torchdiffeq, it
  /// passes, the state is read off a quartic through the middle of the step (less accurate than
  /// the solution of a method of high order), and the field is evaluated beyond the last time.
  public let landsOnOutputs: Bool
  /// Length of the first step; nil: chosen from two evaluations.
  public let firstStep: Double?
  /// Tried steps per sample after which the integration fails.
  public let maximumSteps: Int

  /// - Parameter landsOnOutputs: nil: yes under control per sample, no under control per batch.
  public init(
    _ tableau: ButcherTableau = .dopri5, relativeTolerance: Double = 1e-5,
    absoluteTolerance: Double = 1e-5, errorControl: ErrorControl = .perSample,
    landsOnOutputs: Bool? = nil, firstStep: Double? = nil, maximumSteps: Int = 100_000
  ) {
    precondition(tableau.isAdaptive, "\(tableau.name) estimates no error: use FixedStepSolver")
    precondition(
      relativeTolerance >= 0 && absoluteTolerance >= 0
        && relativeTolerance + absoluteTolerance > 0,
      "tolerances \(relativeTolerance) and \(absoluteTolerance)")
    self.tableau = tableau
    self.relativeTolerance = relativeTolerance
    self.absoluteTolerance = absoluteTolerance
    self.errorControl = errorControl
    self.landsOnOutputs = landsOnOutputs ?? (errorControl == .perSample)
    self.firstStep = firstStep
    self.maximumSteps = maximumSteps
  }

  public var description: String {
    "\(tableau.name), rtol \(relativeTolerance), atol \(absoluteTolerance), "
      + "error control \(errorControl.rawValue)"
  }

  public func integrate(
    from x0: Tensor, through times: [Double], _ field: (Tensor, Tensor) throws -> Tensor
  ) throws -> Trajectory {
    try integrate(from: x0, through: times, watching: { _ in }, field)
  }

  /// - Parameter watching: called for every tried step.
  public func integrate(
    from x0: Tensor, through times: [Double], watching: (Attempt) -> Void,
    _ field: (Tensor, Tensor) throws -> Tensor
  ) throws -> Trajectory {
    var run = AdaptiveRun(self, from: x0, SolverClock(times))
    try run.start(field)
    while run.isUnderWay {
      try run.tryStep(field)
      try run.judgeStep(watching)
    }
    return run.trajectory
  }

  /// The next step from the last one and the ratio of its error to the tolerance.
  func nextStep(after step: Double, errorRatio: Double) -> Double {
    let (safety, largest, smallest) = (0.9, 10.0, 0.2)
    if errorRatio == 0 { return step * largest }
    let floor = errorRatio < 1 ? 1 : smallest
    return step * min(largest, max(safety / pow(errorRatio, 1 / Double(tableau.order)), floor))
  }
}
