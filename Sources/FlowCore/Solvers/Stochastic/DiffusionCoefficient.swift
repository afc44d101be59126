import Foundation

/// How much noise a stochastic sampler adds: D in dx = (v + D·score) dτ + √(2D) dW. The marginals
/// of the path are the same for every D ≥ 0 (Ma et al. 2024, «SiT», arXiv 2401.08740, eq. 6 and
/// table of § 3.3, in whose code the forms have these names).
public struct DiffusionCoefficient: Equatable, Sendable {
  public enum Form: String, Sendable, CaseIterable {
    case constant
    /// The coefficient of the forward process: σW/α, infinite where the path holds no data yet.
    case sbdm = "SBDM"
    /// σ
    case sigma
    /// 1 − τ
    case linear
    /// (c·cos πτ + 1)² / 4: here the norm c stands inside.
    case decreasing
    /// sin² πτ
    case increasingDecreasing = "increasing-decreasing"
  }

  public var form: Form
  /// Multiplies the form.
  public var norm: Double

  public init(_ form: Form, norm: Double = 1) {
    (self.form, self.norm) = (form, norm)
  }

  /// - Parameters:
  ///   - progress: τ, the part of the way from noise (0) to data (1)
  ///   - schedule: of the path there
  public func callAsFunction(at progress: Double, _ schedule: PathSchedule) -> Double {
    switch form {
    case .constant: return norm
    case .sbdm: return norm * schedule.noise * abs(schedule.wronskian) / schedule.data
    case .sigma: return norm * schedule.noise
    case .linear: return norm * (1 - progress)
    case .decreasing:
      let root = norm * cos(.pi * progress) + 1
      return 0.25 * root * root
    case .increasingDecreasing:
      let root = sin(.pi * progress)
      return norm * root * root
    }
  }
}
