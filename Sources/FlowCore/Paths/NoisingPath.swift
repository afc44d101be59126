import FlowTensor

/// The path of LFM (Dao et al. 2023, arXiv 2307.08698): data at t = 0, noise at t = 1.
///
///     x_t = (1 − t)·x0 + (σ + (1 − σ)·t)·x1        u = (1 − σ)·x1 − x0
public struct NoisingPath: ProbabilityPath {
  public let sigmaMin: Float
  public var direction: TimeDirection { .dataToNoise }

  public init(sigmaMin: Float = 1e-5) { self.sigmaMin = sigmaMin }

  public func sample(
    x0 data: Tensor, x1 noise: Tensor, t: Tensor, smoothing: Tensor?
  ) -> PathSample {
    PathSample(
      xt: mix(data, noise, t: t) { (1 - $0, sigmaMin + (1 - sigmaMin) * $0) },  // [B, …]
      velocity: mix(data, noise, t: t) { _ in (-1, 1 - sigmaMin) },  // [B, …]
      t: t)
  }

  public func schedule(at t: Double) -> PathSchedule {
    let width = Double(sigmaMin)
    return PathSchedule(
      data: 1 - t, noise: width + (1 - width) * t, dataRate: -1, noiseRate: 1 - width)
  }
}
