import FlowTensor

/// Who is paired with whom: what the flow to a batch of data starts from, and what it is told on
/// the way.
public protocol Coupling: Sendable {
  /// Whether `CouplingBatch.filling` is asked for.
  var fillsWithNoise: Bool { get }
  /// - Parameter codec: maps between images and latents, for couplings that go through pixels.
  /// - Throws: what the codec throws.
  func callAsFunction(_ batch: CouplingBatch, codec: PixelCodec?) throws -> CoupledSource
}

extension Coupling {
  public var fillsWithNoise: Bool { false }
}

/// What a coupling makes sources of. Every draw is a function of the sample's index, so that pairs
/// do not depend on who makes them.
public struct CouplingBatch {
  /// x1, [b, H, W, C]; nil while sampling.
  public var data: Tensor?
  /// Standard normal, of the data's shape.
  public var noise: Tensor
  /// A second draw, for the pixels between those of `LatentUpsampling.noiseFilled`.
  public var filling: Tensor?
  public var low: LowResolution?
  /// Height and width of the images that decoded data has, for couplings that go through pixels.
  public var imageExtent: (height: Int, width: Int)?

  public init(
    data: Tensor? = nil, noise: Tensor, filling: Tensor? = nil, low: LowResolution? = nil,
    imageExtent: (height: Int, width: Int)? = nil
  ) {
    (self.data, self.noise, self.filling) = (data, noise, filling)
    (self.low, self.imageExtent) = (low, imageExtent)
  }
}

/// The low-resolution side of a batch.
public struct LowResolution {
  /// Scaled, [b, h, w, C]
  public var latent: Tensor
  /// The images of it in [−1, 1], [b, 8·h, 8·w, 3]; nil: they are decoded where they are needed.
  public var images: Tensor?

  public init(latent: Tensor, images: Tensor? = nil) {
    (self.latent, self.images) = (latent, images)
  }
}

/// A first stage as a coupling sees it; latents are scaled to about unit variance.
public struct PixelCodec {
  /// [b, H, W, 3] in [−1, 1] → [b, h, w, C]
  public let encode: (Tensor) throws -> Tensor
  /// [b, h, w, C] → [b, H, W, 3]
  public let decode: (Tensor) throws -> Tensor

  public init(
    encode: @escaping (Tensor) throws -> Tensor, decode: @escaping (Tensor) throws -> Tensor
  ) {
    (self.encode, self.decode) = (encode, decode)
  }
}

/// Where the flow starts and what it is told.
public struct CoupledSource {
  /// x0, [b, H, W, C]
  public var source: Tensor
  /// To be concatenated to the state, [b, H, W, Cc].
  public var context: Tensor?
  /// To be attended to, [b, h, w, Cc].
  public var crossContext: Tensor?

  public init(source: Tensor, context: Tensor? = nil, crossContext: Tensor? = nil) {
    (self.source, self.context, self.crossContext) = (source, context, crossContext)
  }
}

/// Noise and data that know nothing of each other.
public struct IndependentCoupling: Coupling, Equatable {
  public init() {}

  public func callAsFunction(_ batch: CouplingBatch, codec: PixelCodec?) -> CoupledSource {
    CoupledSource(source: batch.noise)
  }
}
