import FlowTensor
import Foundation

/// DPM-Solver++(2M) for flows: the linear part of the equation is solved exactly, the expected data
/// extrapolated through two steps. Lu et al. 2022, arXiv 2211.01095, algorithm 2.
///
/// With D the data that the velocity v expects (`PathSchedule.dataFromVelocity`) and λ = ln(α/σ),
/// h a step of λ, a step from i to i+1 is
///
///     x ← σ_{i+1}/σ_i·x + (α_{i+1} − α_i·σ_{i+1}/σ_i)·(D_i + h_i/(2·h_{i−1})·(D_i − D_{i−1}))
///
/// The first step and the last one leave the extrapolation out: a flow begins at λ = −∞ and ends
/// at +∞. On a linear path they are Euler's steps. Where time runs from data to noise, data and
/// noise change places.
public struct DataPredictionSolver: FlowSampler, Equatable {
  public static let name = "dpmpp_2m"

  public let grid: StepGrid

  public init(grid: StepGrid) { self.grid = grid }

  public var description: String { "\(DataPredictionSolver.name), \(grid)" }

  public func sample(
    from noise: Tensor, along path: any ProbabilityPath, draws: (Int) -> Tensor,
    _ field: (Tensor, Tensor) throws -> Tensor
  ) throws -> Trajectory {
    let (start, end) = path.direction.samplingInterval
    return try integrate(from: noise, through: [start, end], along: path, field)
  }

  /// - Parameters:
  ///   - x0: states at `times[0]`, [B, …]
  ///   - times: output times; those between grid points are interpolated linearly
  ///   - path: the weights that make the linear part; any field can be integrated with any path
  ///   - field: velocity of states [B, …] at times [B]
  public func integrate(
    from x0: Tensor, through times: [Double], along path: any ProbabilityPath,
    _ field: (_ x: Tensor, _ t: Tensor) throws -> Tensor
  ) throws -> Trajectory {
    let clock = SolverClock(times)
    let points = grid.points(clock)
    let isTowardsData = (clock.sign > 0) == (path.direction == .sourceToData)
    let schedules = points.map { time in
      let schedule = path.schedule(at: clock.sign * time)
      return isTowardsData ? schedule : schedule.reversed
    }
    var outputs = OutputStates(clock, from: x0)
    var y = x0.copy()
    var next = Tensor(uninitialized: x0.shape)
    var prediction = Tensor(uninitialized: x0.shape)  // D_i
    var previous = Tensor(uninitialized: x0.shape)  // D_{i−1}
    let calls = points.count - 1
    for i in 0..<calls {
      let t = Array(repeating: clock.callerTime(points[i]), count: x0.shape[0])
      let v = try slope(y, t, field)
      let data = schedules[i].dataFromVelocity
      linearCombination(
        nil, [v, y], coefficients: [Float(data.velocity), Float(data.state)], into: prediction)
      let weights = stepWeights(schedules, i)
      linearCombination(
        nil, [y, prediction, previous],
        coefficients: [weights.state, weights.current, weights.previous].map { Float($0) },
        into: next)
      outputs.pass(y, at: points[i], to: next, at: points[i + 1])
      swap(&y, &next)
      swap(&prediction, &previous)
    }
    return Trajectory(
      states: outputs.states, evaluations: Array(repeating: calls, count: x0.shape[0]),
      calls: calls)
  }

  private func stepWeights(
    _ schedules: [PathSchedule], _ i: Int
  ) -> (state: Double, current: Double, previous: Double) {
    let (now, then) = (schedules[i], schedules[i + 1])
    let ratio = then.noise / now.noise
    let weight = then.data - now.data * ratio
    guard i > 0, i < schedules.count - 2 else { return (ratio, weight, 0) }
    let before = schedules[i - 1].logRatio
    // Zero where the step before began at λ = −∞.
    let share = (then.logRatio - now.logRatio) / (2 * (now.logRatio - before))
    return (ratio, weight * (1 + share), -weight * share)
  }
}

extension PathSchedule {
  /// λ = ln(α/σ)
  fileprivate var logRatio: Double { log(data / noise) }

  /// Data and noise in each other's place.
  fileprivate var reversed: PathSchedule {
    PathSchedule(data: noise, noise: data, dataRate: noiseRate, noiseRate: dataRate)
  }
}
