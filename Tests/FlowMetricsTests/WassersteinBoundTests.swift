import FlowMetrics
import FlowTensor
import Foundation
import Testing

@Suite("Wasserstein bound", .serialized)
struct WassersteinBoundTests {
  /// A flow from N(0, I) to N(m, diag(s²)) along the straight path, its exact velocity, and a
  /// perturbed one v + δ + κ·x; pictures are (A·z, ν) with ν ~ N(0, ρ²), which the code forgets.
  private struct Toy {
    let m = [1.0, -0.5, 0.25]
    let s = [2.0, 0.5, 1.0]
    let delta = [0.2, -0.1, 0.3]
    let kappa: Double
    let rho: Double
    /// A rotation times diag(3, 1, 0.5).
    let decoder: [Double] = {
      let (c, n) = (cos(0.7), sin(0.7))
      return [3 * c, -n, 0, 3 * n, c, 0, 0, 0, 0.5]
    }()

    func variance(_ i: Int, _ t: Double) -> Double { (1 - t) * (1 - t) + t * t * s[i] * s[i] }

    /// dv/dx of component i.
    func slope(_ i: Int, _ t: Double) -> Double { (t * s[i] * s[i] - (1 - t)) / variance(i, t) }

    func error(_ t: Double) -> Double {
      (0..<3).reduce(0) {
        let shift = delta[$1] + kappa * t * m[$1]
        return $0 + shift * shift + kappa * kappa * variance($1, t)
      }
    }

    func lipschitz(_ t: Double) -> Double { (0..<3).map { abs(slope($0, t) + kappa) }.max()! }

    /// Mean at t = 1 of the perturbed flow, by the midpoint rule; its deviation is s·e^κ.
    func perturbedMean(_ i: Int) -> Double {
      let steps = 4000
      let h = 1 / Double(steps)
      func rate(_ x: Double, _ t: Double) -> Double {
        m[i] + slope(i, t) * (x - t * m[i]) + delta[i] + kappa * x
      }
      return (0..<steps).reduce(0.0) { x, k in
        let t = Double(k) * h
        return x + h * rate(x + h / 2 * rate(x, t), t + h / 2)
      }
    }

    /// Moments of pictures whose codes have these means and deviations.
    func moments(mean: [Double], deviation: [Double], rho: Double) -> FeatureMoments {
      var covariance = [Double](repeating: 0, count: 16)
      var center = [Double](repeating: 0, count: 4)
      for i in 0..<3 {
        for k in 0..<3 {
          center[i] += decoder[i * 3 + k] * mean[k]
          for j in 0..<3 {
            covariance[i * 4 + j] +=
              decoder[i * 3 + k] * deviation[k] * deviation[k] * decoder[j * 3 + k]
          }
        }
      }
      covariance[15] = rho * rho
      return FeatureMoments(count: 0, mean: center, covariance: covariance)
    }

    /// W₂² between pictures and decoded samples, both Gaussian.
    var distance: Double {
      frechetDistance(
        moments(mean: m, deviation: s, rho: rho),
        moments(
          mean: (0..<3).map(perturbedMean), deviation: s.map { $0 * exp(kappa) }, rho: 0))
    }

    /// x ↦ x·diag(slope + κ) + …, as the tape sees it.
    func field(_ t: Double) -> (Tensor) -> Tensor {
      var weight = [Float](repeating: 0, count: 9)
      for i in 0..<3 { weight[i * 4] = Float(slope(i, t) + kappa) }
      let bias = (0..<3).map { Float(m[$0] - slope($0, t) * t * m[$0] + delta[$0]) }
      let (w, b) = (Tensor([3, 3], weight), Tensor([3], bias))
      return { linear($0, weight: w, bias: b) }
    }
  }

  private func draw(_ shape: Shape, _ index: Int) -> Tensor {
    Philox(seed: 9, stream: .noise, index: index).normal(shape)
  }

  @Test(
    "holds on a Gaussian flow whose errors and distance are known",
    arguments: [(0.1, 0.3), (-0.2, 0.0), (0.0, 0.2), (0.3, 1.0)])
  func gaussian(_ kappa: Double, _ rho: Double) {
    let toy = Toy(kappa: kappa, rho: rho)
    let count = 16
    // Where two slopes cross, the larger one wins slowly.
    let norm = JacobianNorm(iterations: 80)
    let stretches = (0..<count).map { k in
      let t = (Double(k) + 0.5) / Double(count)
      let found = norm(at: draw([2, 3], k), start: draw([2, 3], k + count), toy.field(t)).max()!
      #expect(abs(found / toy.lipschitz(t) - 1) < 0.01, "t \(t): \(found)")
      return WassersteinBound.Stretch(
        length: 1 / Double(count), velocityError: toy.error(t), lipschitz: found)
    }
    let decoder = Tensor([3, 3], toy.decoder.map { Float($0) })
    let stretch = norm(at: draw([2, 3], 500), start: draw([2, 3], 501)) {
      linear($0, weight: decoder, bias: nil)
    }
    #expect(stretch.allSatisfy { abs($0 / 3 - 1) < 0.01 }, "\(stretch)")
    let bound = WassersteinBound(
      reconstruction: rho * rho, decoderLipschitz: stretch.max()!, stretches: stretches)
    #expect(abs(bound.velocityLipschitz / (0..<count).map {
      toy.lipschitz((Double($0) + 0.5) / Double(count))
    }.max()! - 1) < 0.01)
    let distance = toy.distance
    #expect(distance > 0.1)
    let values = [bound.logTheorem, bound.logTriangle, bound.logTriangleOverTime].map(exp)
    #expect(values.allSatisfy { $0 >= distance }, "\(values) for \(distance)")
    #expect(values[2] <= values[1] && values[0] <= values[1])
    // Not for nothing: the tightest is within a factor of a hundred, and without the error of the
    // velocity nothing would be bounded.
    #expect(values[2] < 100 * distance, "\(values[2]) for \(distance)")
    let blind = WassersteinBound(
      reconstruction: rho * rho, decoderLipschitz: 3,
      stretches: stretches.map { .init(length: $0.length, velocityError: 0, lipschitz: 1) })
    #expect(exp(blind.logTriangle) < distance)
  }

  @Test("terms by hand")
  func terms() {
    let bound = WassersteinBound(
      reconstruction: 4, decoderLipschitz: 2,
      stretches: [
        .init(length: 0.25, velocityError: 8, lipschitz: 1),
        .init(length: 0.75, velocityError: 4, lipschitz: 0.5),
      ])
    #expect(bound.velocityError == 5 && bound.velocityLipschitz == 1)
    #expect(abs(bound.logFlowTerm - log(4 * exp(3.0) * 5)) < 1e-12)
    let overTime = 4 * (0.75 * 4 * exp(0.75 * 2) + 0.25 * 8 * exp(0.75 * 2 + 0.25 * 3))
    #expect(abs(bound.logFlowTermOverTime - log(overTime)) < 1e-12)
    #expect(abs(bound.logTheorem - log(4 + 20 * exp(3.0))) < 1e-12)
    #expect(abs(bound.logTriangleOverTime - 2 * log(2 + overTime.squareRoot())) < 1e-12)
    // Far beyond a Double, and nothing to reconstruct.
    let wild = WassersteinBound(
      reconstruction: 0, decoderLipschitz: 1,
      stretches: [.init(length: 1, velocityError: 1, lipschitz: 1e4)])
    #expect(abs(wild.logTheorem - 20_001) < 1e-9 && abs(wild.logTriangle - 20_001) < 1e-9)
  }

  /// SiLU's slope: σ(x)·(1 + x·(1 − σ(x))).
  @Test("the norm of a Jacobian that varies from point to point")
  func nonlinear() {
    let x = draw([5, 7], 3)
    let found = JacobianNorm(iterations: 60, step: 0.01)(at: x, start: draw([5, 7], 4), silu)
    for b in 0..<5 {
      let slopes = (0..<7).map { i in
        let v = Double(x.values[b * 7 + i])
        let gate = 1 / (1 + exp(-v))
        return abs(gate * (1 + v * (1 - gate)))
      }
      #expect(abs(found[b] / slopes.max()! - 1) < 0.01, "\(found[b]) \(slopes)")
    }
    #expect(Set(found.map { Int($0 * 1000) }).count > 3)
  }
}
