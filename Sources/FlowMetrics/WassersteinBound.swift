import Foundation

/// The bound on the squared Wasserstein-2 distance between data and the samples of a latent flow
/// (Dao et al. 2023, arXiv 2307.08698, theorem of section 4):
///
///     W₂²(p₀, p̂₀) ≤ E‖x − g(f(x))‖² + L_g² · e^(1 + 2·L̂) · ∫ E‖v − v̂‖² dt
///
/// with encoder f, decoder g of Lipschitz constant L_g, and the trained velocity v̂ of Lipschitz
/// constant L̂. The two terms bound two distances of which the triangle inequality bounds the sum,
/// not the sum of squares: (√first + √second)² holds always, the sum above where the two errors do
/// not point the same way. The factor e^(1 + 2·L̂) is that of Albergo & Vanden-Eijnden 2022, arXiv
/// 2209.15571, proposition 3.
public struct WassersteinBound: Equatable, Sendable {
  /// What is known of one stretch of time.
  public struct Stretch: Equatable, Sendable {
    /// Part of [0, 1] that it takes.
    public var length: Double
    /// Mean of ‖v − v̂‖² in it, summed over components.
    public var velocityError: Double
    /// Largest stretching of v̂ in it.
    public var lipschitz: Double

    public init(length: Double, velocityError: Double, lipschitz: Double) {
      (self.length, self.velocityError, self.lipschitz) = (length, velocityError, lipschitz)
    }
  }

  /// E‖x − g(f(x))‖², summed over components.
  public let reconstruction: Double
  /// L_g
  public let decoderLipschitz: Double
  /// From noise to data.
  public let stretches: [Stretch]

  public init(reconstruction: Double, decoderLipschitz: Double, stretches: [Stretch]) {
    (self.reconstruction, self.decoderLipschitz) = (reconstruction, decoderLipschitz)
    self.stretches = stretches
  }

  /// L̂, over all times.
  public var velocityLipschitz: Double { stretches.map(\.lipschitz).max() ?? 0 }

  /// ∫ E‖v − v̂‖² dt
  public var velocityError: Double {
    stretches.reduce(0) { $0 + $1.length * $1.velocityError }
  }

  /// Natural logarithm of the second term: the term itself is soon beyond a Double.
  public var logFlowTerm: Double {
    2 * log(decoderLipschitz) + 1 + 2 * velocityLipschitz + log(velocityError)
  }

  /// The same with L̂ of each time in its own stretch, by Grönwall's inequality: an error made at
  /// t grows by exp ∫ (1 + 2·L̂(s)) ds over what is left of the way. Never above `logFlowTerm`.
  public var logFlowTermOverTime: Double {
    var growth = 0.0
    var terms: [Double] = []
    for stretch in stretches.reversed() {
      growth += stretch.length * (1 + 2 * stretch.lipschitz)
      terms.append(growth + log(stretch.length * stretch.velocityError))
    }
    let largest = terms.max() ?? -.infinity
    guard largest > -.infinity else { return -.infinity }
    return 2 * log(decoderLipschitz) + largest
      + log(terms.reduce(0) { $0 + exp($1 - largest) })
  }

  /// Natural logarithm of the theorem's right side.
  public var logTheorem: Double { logSum(logFlowTerm, log(reconstruction)) }

  /// Natural logarithm of (√first + √second)².
  public var logTriangle: Double { triangle(logFlowTerm) }

  /// Natural logarithm of the same with L̂ over time: the tightest that always holds.
  public var logTriangleOverTime: Double { triangle(logFlowTermOverTime) }

  private func triangle(_ flow: Double) -> Double {
    2 * logSum(0.5 * flow, 0.5 * log(reconstruction))
  }

  /// ln(eᵃ + eᵇ)
  private func logSum(_ a: Double, _ b: Double) -> Double {
    let (high, low) = (max(a, b), min(a, b))
    return high > -.infinity ? high + log1p(exp(low - high)) : high
  }
}
