import Diagnostics
import FlowData
import FlowModels
import FlowTensor

/// What turns pictures into the feature vectors that distances are computed on.
public enum FeatureExtractor {
  /// FID's network; its distance alone is called FID.
  case inception(InceptionV3, hash: String)
  /// Channel means of an autoencoder's middle block, where no Inception weights are at hand.
  case autoencoder(FirstStage)

  /// Features of a vector.
  public var dimension: Int {
    switch self {
    case .inception: InceptionV3.Features.pool.rawValue
    case .autoencoder(let stage): stage.featureCount
    }
  }

  /// The name of the Fréchet distance on these features.
  public var distanceName: String {
    switch self {
    case .inception: "FID"
    case .autoencoder: "Fréchet distance on autoencoder features"
    }
  }

  /// For manifests: which network.
  public var name: String {
    switch self {
    case .inception: "inception-v3 2015-12-05, pool, 2048"
    case .autoencoder: "autoencoder, middle block, \(dimension)"
    }
  }

  public var isInception: Bool {
    if case .inception = self { true } else { false }
  }

  /// How pictures come to the network's size.
  public var resize: String {
    isInception ? "bilinear to 299×299, not smoothed" : "none"
  }

  /// SHA-256 of the weights.
  public var hash: String {
    switch self {
    case .inception(_, let hash): hash
    case .autoencoder(let stage): stage.hash
    }
  }

  /// Feature vectors, [B, D].
  ///
  /// - Parameter images: B pictures of one size.
  public func features(_ images: [ImageBuffer]) -> Tensor {
    let pixels = tensor(of: images)  // [B, H, W, 3] in [−1, 1]
    switch self {
    case .inception(let network, _):
      // (x + 1) / 2 = level / 255 to rounding.
      let unit = Tensor(uninitialized: pixels.shape)
      for i in 0..<pixels.count { unit.base[i] = 0.5 * pixels.base[i] + 0.5 }
      return network.features(unit)
    case .autoencoder(let stage):
      return stage.features(pixels)!  // an identity stage is refused when it is opened
    }
  }
}

/// What happens to a sample's pixels before its features are taken: published figures differ in it.
public struct PixelPipeline: Equatable, Sendable {
  public enum File: String, CaseIterable, Sendable {
    /// 8-bit levels, no file.
    case none
    /// Through a PNG file's bytes: the same pixels.
    case png
    /// Through a JPEG file's bytes, as LFM's evaluation does.
    case jpeg
  }

  public var tone: ToneMap
  public var via: File
  /// 1 … 100, of JPEG.
  public var quality: Int

  public init(tone: ToneMap = .nearest, via: File = .none, quality: Int = 75) {
    (self.tone, self.via, self.quality) = (tone, via, quality)
  }

  public var description: String {
    let levels = tone == .nearest ? "8 bit, nearest level" : "8 bit, truncated"
    return switch via {
    case .none: levels
    case .png: "\(levels), via PNG"
    case .jpeg: "\(levels), via JPEG of quality \(quality)"
    }
  }

  /// - Parameter batch: [B, H, W, 3] in [−1, 1]
  public func callAsFunction(_ batch: Tensor) throws -> [ImageBuffer] {
    let levels = images(of: batch, tone: tone)
    switch via {
    case .none: return levels
    case .png:
      return try levels.map { try ImageBuffer(encoded: $0.encodedPNG(), name: "PNG in memory") }
    case .jpeg:
      return try levels.map {
        try ImageBuffer(encoded: $0.encodedJPEG(quality: quality), name: "JPEG in memory")
      }
    }
  }
}
