import FlowTensor
import Foundation

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

  /// Source and smoothing are both noise, of variance (1 − t)² + σ² together.
  public func schedule(at t: Double) -> PathSchedule {
    guard sigmaMin > 0 else {
      return PathSchedule(data: t, noise: 1 - t, dataRate: 1, noiseRate: -1)
    }
    let width = hypot(1 - t, Double(sigmaMin))
    return PathSchedule(data: t, noise: width, dataRate: 1, noiseRate: -(1 - t) / width)
  }
}
