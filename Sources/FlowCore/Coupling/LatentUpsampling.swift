import FlowTensor

/// How a low-resolution latent is brought to the size of the high-resolution one.
/// Schusterbauer et al. 2024, arXiv 2312.07360, section 4.2 («PSU», «LSU»).
public enum LatentUpsampling: Equatable, Sendable, CaseIterable {
  /// Nothing is done: a network with a context of its own size, or latents of equal size.
  case identity
  /// Decoded, resized bilinearly in pixels, encoded. Latents of the right size stay as they are.
  case pixels
  /// The latent itself is resized.
  case nearest, bilinear, bicubic, area
  /// Latent pixels keep their values at the upper left of their squares; noise fills the rest.
  case noiseFilled

  /// The name in FMBoost's configurations.
  public var referenceName: String {
    switch self {
    case .identity: "identity"
    case .pixels: "psu"
    case .nearest: "nearest"
    case .bilinear: "bilinear"
    case .bicubic: "bicubic"
    case .area: "area"
    case .noiseFilled: "noise_upsampling"
    }
  }

  public static func named(_ referenceName: String) -> LatentUpsampling? {
    allCases.first { $0.referenceName == referenceName }
  }

  /// - Parameters:
  ///   - batch: its noise gives the size, [b, H, W, C].
  ///   - codec: needed by `pixels` where sizes differ.
  /// - Returns: [b, H, W, C]; of `identity`, the latent's own shape
  public func callAsFunction(
    _ low: LowResolution, in batch: CouplingBatch, codec: PixelCodec?
  ) throws -> Tensor {
    let (height, width) = (batch.noise.shape[1], batch.noise.shape[2])
    func interpolated(_ interpolation: Interpolation) -> Tensor {
      resized(low.latent, height: height, width: width, interpolation)
    }
    switch self {
    case .identity: return low.latent
    case .nearest: return interpolated(.nearest)
    case .bilinear: return interpolated(.bilinear)
    case .bicubic: return interpolated(.bicubic)
    case .area: return interpolated(.area)
    case .noiseFilled:
      let shrinks = height <= low.latent.shape[1] && width <= low.latent.shape[2]
      return shrinks ? interpolated(.nearest) : filled(low.latent, batch.filling, batch.noise.shape)
    case .pixels:
      if low.latent.shape[1] == height && low.latent.shape[2] == width { return low.latent }
      guard let codec, let extent = batch.imageExtent else {
        preconditionFailure("up-sampling \(low.latent.shape) in pixels needs a codec and a size")
      }
      let images = try low.images ?? codec.decode(low.latent)  // [b, 8·h, 8·w, 3]
      return try codec.encode(
        resized(images, height: extent.height, width: extent.width, .bilinear))
    }
  }

  private func filled(_ latent: Tensor, _ noise: Tensor?, _ shape: Shape) -> Tensor {
    let (b, h, w, c) = (latent.shape[0], latent.shape[1], latent.shape[2], latent.shape[3])
    guard let noise, noise.shape == shape, shape[1] % h == 0, shape[2] % w == 0 else {
      preconditionFailure(
        "filling \(latent.shape) up to \(shape) with noise \(noise?.shape.description ?? "missing")"
      )
    }
    let result = noise.copy()
    for index in 0..<b * h * w {
      let (sample, row, column) = (index / (h * w), index / w % h, index % w)
      let pixel = (sample * shape[1] + row * (shape[1] / h)) * shape[2] + column * (shape[2] / w)
      (result.base + pixel * c).update(from: latent.base + index * c, count: c)
    }
    return result
  }
}
