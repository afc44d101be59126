import FlowTensor
import Foundation

/// The forward process of a diffusion model, q(x_n | x) = N(√ᾱ_n·x, 1 − ᾱ_n), n = 0 … N − 1.
/// Ho et al. 2020, arXiv 2006.11239, eq. 4.
///
/// A coupling takes one step of it, so that a flow starts from a noised source.
public struct ForwardDiffusion: Equatable, Sendable {
  public enum Schedule: Equatable, Sendable {
    /// The cosine schedule with its signal-to-noise ratio moved by the size of the images,
    /// log SNR = −2·log(tan(πt/2) + 1e-5) + 2·log(reference / size), t = n / (N − 1).
    /// Hoogeboom et al. 2023, «simple diffusion», arXiv 2301.11093, section 3.1. FMBoost always has
    /// size = reference = 64.
    case shiftedCosine(size: Double = 64, reference: Double = 64)
    /// DDPM's: 1 − ᾱ_n / ᾱ_(n−1) rises along a line.
    case linear(first: Double = 1e-4, last: Double = 0.02)
  }

  public let schedule: Schedule
  /// ᾱ of every step, falling; computed in Double.
  public let alphaBars: [Float]

  public init(_ schedule: Schedule = .shiftedCosine(), steps: Int = 1000) {
    precondition(steps >= 2, "a forward diffusion of \(steps) steps")
    self.schedule = schedule
    switch schedule {
    case .shiftedCosine(let size, let reference):
      alphaBars = (0..<steps).map { n in
        let t = n == steps - 1 ? 1 : Double(n) * (1 / Double(steps - 1))
        let logSNR = -2 * log(tan(.pi * t / 2) + 1e-5) + 2 * log(reference / size)
        return Float(1 / (1 + exp(-logSNR)))
      }
    case .linear(let first, let last):
      var product = 1.0
      alphaBars = (0..<steps).map { n in
        product *= 1 - (first + (last - first) * Double(n) / Double(steps - 1))
        return Float(product)
      }
    }
  }

  /// √ᾱ_n·x + √(1 − ᾱ_n)·noise.
  ///
  /// - Parameter noise: standard normal, of the shape of `x`
  public func noised(_ x: Tensor, step: Int, noise: Tensor) -> Tensor {
    precondition(
      alphaBars.indices.contains(step), "step \(step) of \(alphaBars.count) of a forward diffusion")
    precondition(noise.shape == x.shape, "noise \(noise.shape) for \(x.shape)")
    let alphaBar = alphaBars[step]
    return linearCombination(
      [x, noise], coefficients: [alphaBar.squareRoot(), (1 - alphaBar).squareRoot()])
  }
}
