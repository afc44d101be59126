import FlowTensor

/// A conditional probability path between x0 (at t = 0) and x1 (at t = 1).
public protocol ProbabilityPath: Sendable {
  var direction: TimeDirection { get }

  /// - Parameters:
  ///   - x0: states at t = 0, [B, …]
  ///   - x1: states at t = 1, [B, …]
  ///   - t: [B]
  ///   - smoothing: standard normal noise, [B, …], for paths of positive width; others ignore it.
  func sample(x0: Tensor, x1: Tensor, t: Tensor, smoothing: Tensor?) -> PathSample

  /// The weights of data and noise at `t`, for a path whose other end is standard normal noise.
  func schedule(at t: Double) -> PathSchedule
}

extension ProbabilityPath {
  public func sample(x0: Tensor, x1: Tensor, t: Tensor) -> PathSample {
    sample(x0: x0, x1: x1, t: t, smoothing: nil)
  }
}

/// A point of a path and the velocity to be learned there.
public struct PathSample {
  /// [B, …]
  public let xt: Tensor
  /// The regression target dx_t/dt, [B, …]
  public let velocity: Tensor
  /// [B]
  public let t: Tensor

  public init(xt: Tensor, velocity: Tensor, t: Tensor) {
    self.xt = xt
    self.velocity = velocity
    self.t = t
  }
}

/// a(t_b)·x0_b + b(t_b)·x1_b for each sample b.
func mix(
  _ x0: Tensor, _ x1: Tensor, t: Tensor, _ weights: (Float) -> (a: Float, b: Float)
) -> Tensor {
  precondition(
    x0.shape == x1.shape && x0.shape.rank >= 1 && t.shape == [x0.shape[0]],
    "path between \(x0.shape) and \(x1.shape) at times \(t.shape)")
  let coefficients = t.values.flatMap { time -> [Float] in
    let w = weights(time)
    return [w.a, w.b]
  }
  return linearCombination([x0, x1], coefficients: coefficients)
}
