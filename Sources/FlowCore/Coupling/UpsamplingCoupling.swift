import FlowTensor

/// The coupling of FMBoost: every high-resolution latent with its low-resolution one.
/// Schusterbauer et al. 2024, arXiv 2312.07360, section 4.2.
public struct UpsamplingCoupling: Coupling, Equatable {
  /// What the flow starts from.
  public enum Start: Equatable, Sendable {
    /// The up-sampled latent.
    case latent
    /// The up-sampled latent after a step of a forward diffusion.
    case noised(ForwardDiffusion, step: Int)
    /// Noise; the up-sampled latent is context alone.
    case noise
  }

  public var start: Start
  public var upsampling: LatentUpsampling
  /// Up-sampling of the concatenated context; nil for none.
  public var context: LatentUpsampling?
  /// Up-sampling of the context for cross-attention; nil for none.
  public var crossContext: LatentUpsampling?

  public init(
    start: Start, upsampling: LatentUpsampling, context: LatentUpsampling?,
    crossContext: LatentUpsampling? = nil
  ) {
    (self.start, self.upsampling) = (start, upsampling)
    (self.context, self.crossContext) = (context, crossContext)
  }

  public var fillsWithNoise: Bool {
    [upsampling, context, crossContext].contains(.noiseFilled)
  }

  /// Whether latents go through pixels on the way.
  public var needsCodec: Bool { [upsampling, context, crossContext].contains(.pixels) }

  public func callAsFunction(
    _ batch: CouplingBatch, codec: PixelCodec?
  ) throws -> CoupledSource {
    guard let low = batch.low else {
      preconditionFailure("a coupling by up-sampling without a low-resolution latent")
    }
    // One result serves all that ask for the same mode: `pixels` runs the first stage.
    var made: [(mode: LatentUpsampling, latent: Tensor)] = []
    func upsampled(_ mode: LatentUpsampling) throws -> Tensor {
      if let known = made.first(where: { $0.mode == mode }) { return known.latent }
      let latent = try mode(low, in: batch, codec: codec)
      made.append((mode, latent))
      return latent
    }
    let source: Tensor
    switch start {
    case .latent: source = try upsampled(upsampling)
    case .noised(let diffusion, let step):
      source = diffusion.noised(try upsampled(upsampling), step: step, noise: batch.noise)
    case .noise: source = batch.noise
    }
    return CoupledSource(
      source: source, context: try context.map(upsampled),
      crossContext: try crossContext.map(upsampled))
  }
}
