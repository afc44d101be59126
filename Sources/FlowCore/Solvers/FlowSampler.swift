import FlowTensor

/// Brings noise to data along a flow: an ODE solver, or a sampler that mixes in noise of its own.
public protocol FlowSampler: Sendable, CustomStringConvertible {
  /// - Parameters:
  ///   - noise: states at the beginning of the path's sampling interval, [B, …]
  ///   - path: what the field was trained on; says which way time runs
  ///   - draws: standard normal noise of a step, [B, …]; a function of its number alone, asked for
  ///     by samplers that are not deterministic
  ///   - field: velocity of states [B, …] at times [B]; must not keep the states
  /// - Throws: what the field throws, and `SolverFailure`
  func sample(
    from noise: Tensor, along path: any ProbabilityPath, draws: (_ step: Int) -> Tensor,
    _ field: (_ x: Tensor, _ t: Tensor) throws -> Tensor
  ) throws -> Trajectory
}

extension ODESolver {
  public func sample(
    from noise: Tensor, along path: any ProbabilityPath, draws: (_ step: Int) -> Tensor,
    _ field: (_ x: Tensor, _ t: Tensor) throws -> Tensor
  ) throws -> Trajectory {
    let (start, end) = path.direction.samplingInterval
    return try integrate(from: noise, through: [start, end], field)
  }
}

/// The methods without noise by name.
public enum SolverKind: Equatable, Sendable {
  case rungeKutta(ButcherTableau)
  case adamsBashforth(order: Int)
  /// DPM-Solver++(2M)
  case dataPrediction
  /// LFM's samplers on a linear grid.
  case karras(KarrasSampler.Method)

  public static let all: [SolverKind] =
    ButcherTableau.all.map { .rungeKutta($0) } + (2...4).map { .adamsBashforth(order: $0) }
    + [.dataPrediction] + KarrasSampler.Method.allCases.map { .karras($0) }

  public static func named(_ name: String) -> SolverKind? { all.first { $0.name == name } }

  public var name: String {
    switch self {
    case .rungeKutta(let tableau): tableau.name
    case .adamsBashforth(let order): "ab\(order)"
    case .dataPrediction: DataPredictionSolver.name
    case .karras(let method): "karras_\(method.rawValue)"
    }
  }

  /// The method in `steps` steps; an adaptive one with its default tolerances.
  public func sampler(steps: Int) -> any FlowSampler {
    switch self {
    case .rungeKutta(let tableau):
      if tableau.isAdaptive {
        AdaptiveSolver(tableau)
      } else {
        FixedStepSolver(tableau, grid: .steps(steps))
      }
    case .adamsBashforth(let order): AdamsBashforth(order: order, grid: .steps(steps))
    case .dataPrediction: DataPredictionSolver(grid: .steps(steps))
    case .karras(let method): KarrasSampler(method, times: KarrasSampler.evenTimes(steps + 1))
    }
  }

  /// Whether the method chooses its steps itself.
  public var isAdaptive: Bool {
    if case .rungeKutta(let tableau) = self { tableau.isAdaptive } else { false }
  }
}
