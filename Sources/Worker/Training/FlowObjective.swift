import FlowCore
import FlowTensor
import Foundation

/// What the loss of one micro-batch is made of: every draw is a function of (seed, step, sample).
public struct FlowObjective: Sendable {
  public var seed: UInt64
  public var path: any ProbabilityPath
  public var times: TimeSampler
  /// nil for networks without labels.
  public var labelDropout: LabelDropout?
  /// Draw z from the posterior; otherwise its mean.
  public var samplesPosterior: Bool
  /// Latents are multiplied by this.
  public var scale: Float

  public init(
    seed: UInt64, path: any ProbabilityPath, times: TimeSampler, labelDropout: LabelDropout?,
    samplesPosterior: Bool, scale: Float
  ) {
    (self.seed, self.path, self.times) = (seed, path, times)
    (self.labelDropout, self.samplesPosterior, self.scale) = (labelDropout, samplesPosterior, scale)
  }

  /// A point of the path for each sample of the micro-batch, and the labels after dropout.
  ///
  /// - Parameter shape: [H, W, C] of a latent
  func point(_ batch: LatentBatch, shape: [Int], step: Int) -> (PathSample, labels: [Int]?) {
    let data = latents(batch, shape: shape, step: step)  // [b, H, W, C]
    let noise = normal(batch.indices, shape: data.shape, stream: .noise, step: step)
    let t = times.draw(indices: batch.indices, step: step, seed: seed)  // [b]
    let towardsData = path.direction == .sourceToData
    let point = path.sample(
      x0: towardsData ? noise : data, x1: towardsData ? data : noise, t: t,
      smoothing: smoothing(batch.indices, shape: data.shape, step: step))
    let labels = batch.labels.map {
      labelDropout?($0, indices: batch.indices, step: step, seed: seed) ?? $0
    }
    return (point, labels)
  }

  /// z = scale·(mean + exp(logvar / 2)·ε)
  private func latents(_ batch: LatentBatch, shape: [Int], step: Int) -> Tensor {
    let z = Tensor(Shape([batch.indices.count] + shape), batch.mean)
    if samplesPosterior, let logvar = batch.logvar {
      let noise = normal(batch.indices, shape: z.shape, stream: .posterior, step: step)
      for i in 0..<z.count { z.base[i] += exp(0.5 * logvar[i]) * noise.base[i] }
    }
    for i in 0..<z.count { z.base[i] *= scale }
    return z
  }

  private func smoothing(_ indices: [Int], shape: Shape, step: Int) -> Tensor? {
    guard let linear = path as? LinearPath, linear.sigmaMin > 0 else { return nil }
    return normal(indices, shape: shape, stream: .churn, step: step)
  }

  private func normal(_ indices: [Int], shape: Shape, stream: RandomStream, step: Int) -> Tensor {
    let result = Tensor(uninitialized: shape)
    let row = shape.count / max(1, indices.count)
    parallelFor(indices.count, grain: 1) { range in
      for i in range {
        Philox(seed: seed, stream: stream, step: step, index: indices[i])
          .fillNormal(result.base + i * row, count: row)
      }
    }
    return result
  }
}
