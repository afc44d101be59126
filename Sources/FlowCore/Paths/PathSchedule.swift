/// The two weights of a path at one time, x_t = α·data + σ·noise, and their derivatives by t.
///
/// What a velocity says about data, noise and score follows from them alone. With W = α'σ − ασ',
/// which vanishes nowhere on a path:
///
///     data  = (σ·v − σ'·x) / W         noise = (α'·x − α·v) / W         score = −noise / σ
///
/// Albergo, Boffi & Vanden-Eijnden 2023, arXiv 2303.08797, § 2.4; Ma et al. 2024, «SiT», arXiv
/// 2401.08740, eqs. 8 … 10.
public struct PathSchedule: Equatable, Sendable {
  /// α
  public let data: Double
  /// σ
  public let noise: Double
  /// dα/dt
  public let dataRate: Double
  /// dσ/dt
  public let noiseRate: Double

  public init(data: Double, noise: Double, dataRate: Double, noiseRate: Double) {
    (self.data, self.noise) = (data, noise)
    (self.dataRate, self.noiseRate) = (dataRate, noiseRate)
  }

  /// A quantity as `velocity`·v + `state`·x.
  public struct Mixture: Equatable, Sendable {
    public let velocity: Double
    public let state: Double

    public init(velocity: Double, state: Double) {
      (self.velocity, self.state) = (velocity, state)
    }
  }

  /// W = α'σ − ασ', positive where t rises towards data.
  public var wronskian: Double { dataRate * noise - data * noiseRate }

  /// The expected data given the state.
  public var dataFromVelocity: Mixture {
    Mixture(velocity: noise / wronskian, state: -noiseRate / wronskian)
  }

  /// The expected noise given the state.
  public var noiseFromVelocity: Mixture {
    Mixture(velocity: -data / wronskian, state: dataRate / wronskian)
  }

  /// ∇ log p_t; infinite where the path has no noise left.
  public var scoreFromVelocity: Mixture {
    Mixture(
      velocity: data / (wronskian * noise), state: -dataRate / (wronskian * noise))
  }

  /// The velocity as `velocity`·score + `state`·x; infinite where the path holds no data yet.
  public var velocityFromScore: Mixture {
    Mixture(velocity: noise * wronskian / data, state: dataRate / data)
  }
}
