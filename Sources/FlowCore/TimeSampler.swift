import Foundation
import FlowTensor

/// The distribution of training times. A draw is a function of (seed, step, sample index).
public enum TimeSampler: Equatable, Sendable {
  /// t ~ U[0, 1)
  case uniform
  /// t = σ(n), n ~ N(mean, deviation²): Esser et al. 2024, arXiv 2403.03206, eq. 19.
  case logitNormal(mean: Double = 0, deviation: Double = 1)
  /// t = 1 − u − s·(cos²(πu/2) − 1 + u), u ~ U[0, 1): same paper, eq. 20; −1 ≤ s ≤ 2/(π − 2).
  case mode(scale: Double)

  /// - Parameters:
  ///   - indices: sample indices in the data set, b of them.
  ///   - step: training step, or epoch.
  /// - Returns: [b], each in [0, 1]
  public func draw(indices: [Int], step: Int, seed: UInt64) -> Tensor {
    Tensor(
      [indices.count],
      indices.map {
        time(Philox(seed: seed, stream: .time, step: step, index: $0))
      })
  }

  private func time(_ generator: Philox) -> Float {
    switch self {
    case .uniform:
      return generator.uniform()
    case .logitNormal(let mean, let deviation):
      var normal: Float = 0
      generator.fillNormal(&normal, count: 1)
      return Float(1 / (1 + exp(-(mean + deviation * Double(normal)))))
    case .mode(let scale):
      let u = Double(generator.uniform())
      let c = cos(Double.pi / 2 * u)
      return Float(1 - u - scale * (c * c - 1 + u))
    }
  }
}
