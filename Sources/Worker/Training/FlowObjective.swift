import FlowCore
import FlowModels
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
  /// What the flow starts from.
  public var coupling: any Coupling
  /// [h, w, C] of the low-resolution latents; nil for couplings without.
  public var lowShape: [Int]?
  /// Image pixels per latent pixel along each axis.
  public var imageFactor: Int
  /// Of the label maps that the rows bring; nil for rows without.
  public var rescaler: SpatialRescaler.Configuration?

  public init(
    seed: UInt64, path: any ProbabilityPath, times: TimeSampler, labelDropout: LabelDropout?,
    samplesPosterior: Bool, scale: Float, coupling: any Coupling = IndependentCoupling(),
    lowShape: [Int]? = nil, imageFactor: Int = 1, rescaler: SpatialRescaler.Configuration? = nil
  ) {
    self.rescaler = rescaler
    (self.seed, self.path, self.times) = (seed, path, times)
    (self.labelDropout, self.samplesPosterior, self.scale) = (labelDropout, samplesPosterior, scale)
    (self.coupling, self.lowShape, self.imageFactor) = (coupling, lowShape, imageFactor)
  }

  /// A point of the path for each sample of the micro-batch, and what the field is told: labels
  /// after dropout, and the contexts.
  ///
  /// - Parameters:
  ///   - shape: [H, W, C] of a latent
  ///   - codec: for couplings that go through pixels
  func point(
    _ batch: LatentBatch, shape: [Int], step: Int, codec: PixelCodec?
  ) throws -> (PathSample, Condition) {
    let shape = Shape([batch.indices.count] + shape)
    func draw(_ stream: RandomStream) -> Tensor {
      normal(batch.indices, shape: shape, stream: stream, step: step)
    }
    let data = latents(batch.mean, batch.logvar, shape) { draw(.posterior) }  // [b, H, W, C]
    let departure = Departure(
      data: data, noise: draw(.noise), filling: { draw(.filling) },
      givens: givens(batch, shape, step: step),
      labels: batch.labels.map {
        labelDropout?($0, indices: batch.indices, step: step, seed: seed) ?? $0
      }, factor: imageFactor)
    let (source, condition) = try departure.coupled(by: coupling, codec: codec)
    let t = times.draw(indices: batch.indices, step: step, seed: seed)  // [b]
    let towardsData = path.direction == .sourceToData
    let point = path.sample(
      x0: towardsData ? source : data, x1: towardsData ? data : source, t: t,
      smoothing: smoothing(batch.indices, shape: shape, step: step))
    return (point, condition)
  }

  private func givens(_ batch: LatentBatch, _ shape: Shape, step: Int) -> Givens {
    if let masked = batch.masked {
      return Givens(context: inpaintingContext(masked, batch.indices, shape, step: step))
    }
    if let rescaler, let maps = batch.classMap {
      let latentShape = Array(shape.dims.dropFirst())
      return Givens(classShares: rescaler.classShares(ofMaps: maps, latentShape: latentShape))
    }
    guard let lowShape, let mean = batch.lowMean else { return Givens() }
    let shape = Shape([batch.indices.count] + lowShape)
    let low = latents(mean, batch.lowLogvar, shape) {
      normal(batch.indices, shape: shape, stream: .lowPosterior, step: step)
    }
    return Givens(low: LowResolution(latent: low))
  }

  /// Latent of the picture with its hole, and the mask, [b, H, W, C + 1]; or its thumbnail.
  private func inpaintingContext(
    _ masked: LatentBatch.Masked, _ indices: [Int], _ shape: Shape, step: Int
  ) -> Tensor {
    if case .thumbnail(let cells) = masked.context {
      return Tensor([shape[0], shape[1], shape[2], 4 * cells * cells], masked.mean)
    }
    let z = latents(masked.mean, masked.logvar, shape) {
      normal(indices, shape: shape, stream: .maskedPosterior, step: step)
    }
    // Image pixels per latent pixel along each axis.
    let pixels = masked.levels.count * shape[3] / shape.count
    let factor = Int(Double(pixels).squareRoot().rounded())
    let mask = inpaintingMask(
      levels: masked.levels, shape: [shape[0], shape[1] * factor, shape[2] * factor, 1])
    return inpaintingCondition(maskedLatent: z, mask: mask)
  }

  /// z = scale·(mean + exp(logvar / 2)·ε)
  private func latents(
    _ mean: [Float], _ logvar: [Float]?, _ shape: Shape, _ draw: () -> Tensor
  ) -> Tensor {
    let z = Tensor(shape, mean)
    if samplesPosterior, let logvar {
      let noise = draw()
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
