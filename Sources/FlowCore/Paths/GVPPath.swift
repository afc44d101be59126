import Foundation
import FlowTensor

/// The generalised variance-preserving path (Ma et al. 2024, «SiT», arXiv 2401.08740, table 1) in
/// FMBoost's direction: source at t = 0, data at t = 1. Its width σ is 0 by definition.
///
///     x_t = cos(πt/2)·x0 + sin(πt/2)·x1            u = π/2·(cos(πt/2)·x1 − sin(πt/2)·x0)
public struct GVPPath: ProbabilityPath {
  public var direction: TimeDirection { .sourceToData }

  public init() {}

  public func sample(
    x0 source: Tensor, x1 data: Tensor, t: Tensor, smoothing: Tensor?
  ) -> PathSample {
    let quarter = Float.pi / 2
    return PathSample(
      xt: mix(source, data, t: t) { (cos(quarter * $0), sin(quarter * $0)) },  // [B, …]
      velocity: mix(source, data, t: t) {
        (-quarter * sin(quarter * $0), quarter * cos(quarter * $0))
      },
      t: t)
  }

  public func schedule(at t: Double) -> PathSchedule {
    let quarter = Double.pi / 2
    let (s, c) = (sin(quarter * t), cos(quarter * t))
    return PathSchedule(data: s, noise: c, dataRate: quarter * c, noiseRate: -quarter * s)
  }
}
