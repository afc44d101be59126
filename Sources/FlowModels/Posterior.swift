import FlowTensor
import Foundation

/// A Gaussian with independent components, one for each latent element of each sample.
public struct Posterior {
  /// [B, h, w, C]
  public let mean: Tensor
  /// Logarithm of the variance, clamped to [−30, 20], [B, h, w, C].
  public let logvar: Tensor

  /// - Parameter moments: [B, h, w, 2·C], the mean before the logarithm of the variance
  public init(moments: Tensor) {
    let parts = moments.split(into: 2)
    self.init(mean: parts[0], logvar: clamped(parts[1], to: -30...20))
  }

  public init(mean: Tensor, logvar: Tensor) {
    precondition(mean.shape == logvar.shape, "Posterior: \(mean.shape) and \(logvar.shape)")
    (self.mean, self.logvar) = (mean, logvar)
  }

  public var mode: Tensor { mean }

  /// mean + exp(½ logvar)·noise, with the gradient through both (Kingma & Welling 2014, eq. 10).
  ///
  /// - Parameter noise: [B, h, w, C], standard normal
  public func sample(noise: Tensor) -> Tensor {
    precondition(noise.shape == mean.shape, "sample of \(mean.shape) with noise \(noise.shape)")
    let n = mean.count
    let y = Tensor(uninitialized: mean.shape)
    for i in 0..<n { y.base[i] = mean.base[i] + exp(0.5 * logvar.base[i]) * noise.base[i] }
    guard let tape = mean.tape ?? logvar.tape else { return y }
    let (dMean, dLogvar) = (mean.gradient, logvar.gradient)
    let (v, e) = (logvar.detached, noise.detached)
    return tape.record(y) { dy in
      let g = dy.base
      dMean?.add { d, beta in for i in 0..<n { d[i] = g[i] + (beta == 0 ? 0 : d[i]) } }
      dLogvar?.add { d, beta in
        for i in 0..<n {
          d[i] = 0.5 * exp(0.5 * v.base[i]) * e.base[i] * g[i] + (beta == 0 ? 0 : d[i])
        }
      }
    }
  }

  /// KL divergence from the standard normal distribution, ½ Σ (mean² + σ² − 1 − log σ²) over all
  /// elements of a sample (Kingma & Welling 2014, appendix B).
  ///
  /// - Returns: [B]
  public func kl() -> Tensor {
    let b = mean.shape[0]
    let n = mean.count / max(1, b)
    let (m, v) = (mean.detached, logvar.detached)
    let y = Tensor(uninitialized: [b])
    for sample in 0..<b {
      var sum = 0.0
      for i in sample * n..<(sample + 1) * n {
        let (mean, logvar) = (Double(m.base[i]), Double(v.base[i]))
        sum += mean * mean + exp(logvar) - 1 - logvar
      }
      y.base[sample] = Float(0.5 * sum)
    }
    guard let tape = mean.tape ?? logvar.tape else { return y }
    let (dMean, dLogvar) = (mean.gradient, logvar.gradient)
    return tape.record(y) { dy in
      dMean?.add { d, beta in
        for i in 0..<b * n { d[i] = dy.base[i / n] * m.base[i] + (beta == 0 ? 0 : d[i]) }
      }
      dLogvar?.add { d, beta in
        for i in 0..<b * n {
          d[i] = dy.base[i / n] * 0.5 * (exp(v.base[i]) - 1) + (beta == 0 ? 0 : d[i])
        }
      }
    }
  }

  /// The mean of `kl()` over the batch, a scalar: a term of a training loss.
  public func meanKL() -> Tensor {
    let each = kl()
    let b = each.count
    let y = Tensor([], [Float(each.values.reduce(0.0) { $0 + Double($1) } / Double(b))])
    guard let tape = each.tape else { return y }
    let gradient = each.gradient
    return tape.record(y) { dy in
      gradient?.add { d, beta in
        for i in 0..<b { d[i] = dy.base[0] / Float(b) + (beta == 0 ? 0 : d[i]) }
      }
    }
  }
}

/// Values outside `range` become its ends and get no gradient.
private func clamped(_ x: Tensor, to range: ClosedRange<Float>) -> Tensor {
  let n = x.count
  let y = Tensor(uninitialized: x.shape)
  for i in 0..<n { y.base[i] = min(max(x.base[i], range.lowerBound), range.upperBound) }
  guard let tape = x.tape else { return y }
  let (gradient, before) = (x.gradient, x.detached)
  return tape.record(y) { dy in
    gradient?.add { d, beta in
      for i in 0..<n {
        let passes = range.contains(before.base[i])
        d[i] = (passes ? dy.base[i] : 0) + (beta == 0 ? 0 : d[i])
      }
    }
  }
}
