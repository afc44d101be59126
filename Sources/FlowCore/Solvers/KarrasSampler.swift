import FlowTensor

/// LFM's samplers in the manner of Karras et al. 2022 (arXiv 2206.00364, algorithm 2): Euler or
/// Heun on falling noise levels, with optional churn, on the velocity itself.
///
/// A noise level is the time t where noise lies at t = 1, and 1 − t where it lies at t = 0.
public struct KarrasSampler: FlowSampler, Equatable {
  public enum Method: String, Sendable, CaseIterable {
    case euler, heun
  }

  /// Fresh noise that is mixed in before a step of Heun's method.
  public struct Churn: Equatable, Sendable {
    public var amount: Double
    /// Noise levels at which it applies.
    public var times: ClosedRange<Double>
    public var noiseScale: Double

    public init(
      amount: Double = 0, times: ClosedRange<Double> = 0...1, noiseScale: Double = 1
    ) {
      self.amount = amount
      self.times = times
      self.noiseScale = noiseScale
    }
  }

  public let method: Method
  /// Falling noise levels; one step between each and the next.
  public let times: [Double]
  public let churn: Churn
  /// The step count that LFM's code assumes whatever the times are, 40 there: churn is divided by
  /// it and Heun's correction stops at step `assumedSteps - 1`, where the method silently turns
  /// into Euler's. nil: the true number of steps, and the correction at each of them.
  public let assumedSteps: Int?

  public init(
    _ method: Method, times: [Double], churn: Churn = Churn(), assumedSteps: Int? = nil
  ) {
    precondition(
      times.count >= 2 && zip(times, times.dropFirst()).allSatisfy { $0 > $1 },
      "times must fall strictly: \(times)")
    self.method = method
    self.times = times
    self.churn = churn
    self.assumedSteps = assumedSteps
  }

  /// `count` evenly spaced times from `first` down to `last`, both included.
  public static func evenTimes(_ count: Int, from first: Double = 1, to last: Double = 1e-5)
    -> [Double]
  {
    precondition(count >= 2, "\(count) times")
    return (0..<count).map { first + (last - first) * Double($0) / Double(count - 1) }
  }

  public var description: String {
    var text = "karras_\(method.rawValue), \(times.count - 1) steps"
    if churn.amount > 0 {
      text += ", churn \(churn.amount) at \(churn.times) times \(churn.noiseScale)"
    }
    return assumedSteps.map { "\(text), \($0) steps assumed" } ?? text
  }

  public func sample(
    from noise: Tensor, along path: any ProbabilityPath, draws: (Int) -> Tensor,
    _ field: (Tensor, Tensor) throws -> Tensor
  ) rethrows -> Trajectory {
    try integrate(from: noise, direction: path.direction, noise: draws, field)
  }

  /// - Parameters:
  ///   - x0: states at the first level, [B, …]
  ///   - noise: standard normal noise of a step, [B, …]; asked for where churn applies
  ///   - field: velocity of states [B, …] at times [B]
  /// - Returns: the states at the last level
  public func integrate(
    from x0: Tensor, direction: TimeDirection = .dataToNoise,
    noise: (_ step: Int) -> Tensor,
    _ field: (_ x: Tensor, _ t: Tensor) throws -> Tensor
  ) rethrows -> Trajectory {
    let batch = x0.shape[0]
    let x = x0.copy()
    let trial = Tensor(uninitialized: x0.shape)
    var calls = 0
    func velocity(_ x: Tensor, _ level: Double) throws -> Tensor {
      calls += 1
      let time = direction == .dataToNoise ? level : 1 - level
      return try slope(x, Array(repeating: Float(time), count: batch), field)
    }
    for i in 0..<times.count - 1 {
      let start = churned(i)
      if start > times[i] {
        let width = (start * start - times[i] * times[i]).squareRoot()
        linearCombination(
          x, [noise(i)], coefficients: [Float(width * churn.noiseScale)], into: x)
      }
      let step = Float(direction == .dataToNoise ? times[i + 1] - start : start - times[i + 1])
      let k1 = try velocity(x, start)
      guard isCorrected(i) else {
        linearCombination(x, [k1], coefficients: [step], into: x)
        continue
      }
      linearCombination(x, [k1], coefficients: [step], into: trial)
      let k2 = try velocity(trial, times[i + 1])
      linearCombination(x, [k1, k2], coefficients: [step / 2, step / 2], into: x)
    }
    return Trajectory(
      states: [x0, x], evaluations: Array(repeating: calls, count: batch), calls: calls)
  }

  /// The level that churn raises the start of step `i` to.
  private func churned(_ i: Int) -> Double {
    guard method == .heun, churn.times.contains(times[i]) else { return times[i] }
    let steps = Double(assumedSteps ?? times.count - 1)
    return times[i] * (1 + min(churn.amount / steps, 2.0.squareRoot() - 1))
  }

  private func isCorrected(_ i: Int) -> Bool {
    guard method == .heun else { return false }
    return assumedSteps.map { i < $0 - 1 } ?? true
  }
}
