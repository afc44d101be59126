import FlowTensor

/// The linear path of FMBoost (Schusterbauer et al., ECCV 2024; Lipman et al. 2022, arXiv
/// 2210.02747): source at t = 0, data at t = 1.
///
///     x_t = (1 − t)·x0 + t·x1 + σ·ε                u = x1 − x0
public struct LinearPath: ProbabilityPath {
  public let sigmaMin: Float
  public var direction: TimeDirection { .sourceToData }

  public init(sigmaMin: Float = 0) { self.sigmaMin = sigmaMin }

  /// - Parameter smoothing: ε, needed where `sigmaMin` is positive.
  public func sample(
    x0 source: Tensor, x1 data: Tensor, t: Tensor, smoothing: Tensor?
  ) -> PathSample {
    let xt = mix(source, data, t: t) { (1 - $0, $0) }  // [B, …]
    if sigmaMin > 0 {
      precondition(
        smoothing?.shape == xt.shape, "a path of width \(sigmaMin) needs noise \(xt.shape)")
      linearCombination(xt, [smoothing!], coefficients: [sigmaMin], into: xt)
    }
    return PathSample(xt: xt, velocity: mix(source, data, t: t) { _ in (-1, 1) }, t: t)
  }
}
