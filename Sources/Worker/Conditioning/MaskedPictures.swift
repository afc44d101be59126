import FlowCore
import FlowData
import FlowTensor

/// A picture, and the mask of what is to be filled in.
public struct MaskedPicture: Sendable {
  public var image: ImageBuffer
  public var mask: HoleMask

  public init(_ image: ImageBuffer, _ mask: HoleMask) { (self.image, self.mask) = (image, mask) }
}

/// How a network sees a picture with a hole.
public enum HoleContext: Equatable, Sendable {
  /// The latent of the picture, its hole black, and the mask at the latent's size (LFM): C + 1
  /// channels. What the encoder makes of visible pixels depends on the hole, too.
  case latent
  /// Averages over pixels of the picture, its hole black, and of the mask, `cells`² of them in a
  /// latent pixel: 4·cells² channels. No encoder stands between; one cell for every pixel is all.
  case thumbnail(cells: Int)

  public func channels(latentChannels: Int) -> Int {
    switch self {
    case .latent: latentChannels + 1
    case .thumbnail(let cells): 4 * cells * cells
    }
  }
}

extension FirstStage {
  /// `inpaintingThumbnail` of pictures whose holes are black.
  ///
  /// - Returns: [n, h, w, 4·cells²] flattened
  func thumbnails(_ pictures: [MaskedPicture], cells: Int) -> [Float] {
    let mask = masks(of: pictures)
    return inpaintingThumbnail(
      maskedImage: maskedImage(tensor(of: pictures.map(\.image)), mask: mask), mask: mask,
      factor: downsamplingFactor, cells: cells
    ).values
  }

  /// The distribution of the latents of pictures whose holes are black.
  ///
  /// - Parameter pictures: of one size
  /// - Returns: mean and log-variance, [n, h, w, C] flattened
  func encodeMasked(_ pictures: [MaskedPicture]) -> (mean: [Float], logvar: [Float]?) {
    var (means, logvars) = ([Float](), [Float]())
    for first in stride(from: 0, to: pictures.count, by: Self.batch) {
      let round = Array(pictures[first..<min(pictures.count, first + Self.batch)])
      // Filled up: only one shape gives a picture the same bits in any company.
      let filled = round + Array(repeating: round[0], count: Self.batch - round.count)
      let masked = maskedImage(tensor(of: filled.map(\.image)), mask: masks(of: filled))
      let (mean, logvar) = encode(masked)
      let count = mean.count / Self.batch * round.count
      means += mean.values[..<count]
      if let logvar { logvars += logvar.values[..<count] }
    }
    return (means, isIdentity ? nil : logvars)
  }
}

/// 1 in the holes, −1 elsewhere, [B, H, W, 1].
private func masks(of pictures: [MaskedPicture]) -> Tensor {
  let mask = pictures[0].mask
  return inpaintingMask(
    levels: pictures.flatMap(\.mask.levels), shape: [pictures.count, mask.height, mask.width, 1])
}

/// What samples of an inpainting are given: the latents of masked pictures, and their masks.
public struct InpaintingGivens: GivenSource {
  public let count: Int
  public let latentShape: [Int]
  private let stage: FirstStage
  private let scale: Float
  private let context: HoleContext
  private let picture: (Int) throws -> MaskedPicture

  /// - Parameters:
  ///   - scale: latents are multiplied by it.
  ///   - picture: any of `count`, at the size that `latentShape` stands for.
  public init(
    _ stage: FirstStage, count: Int, latentShape: [Int], scale: Float, context: HoleContext,
    picture: @escaping (Int) throws -> MaskedPicture
  ) {
    (self.stage, self.count, self.latentShape) = (stage, count, latentShape)
    (self.scale, self.context, self.picture) = (scale, context, picture)
  }

  /// Latents are the means of the posterior.
  public func givens(_ range: Range<Int>) throws -> Givens {
    let pictures = try range.map { try picture(min($0, count - 1)) }
    if case .thumbnail(let cells) = context {
      let shape = Shape([range.count] + latentShape.dropLast() + [4 * cells * cells])
      return Givens(context: Tensor(shape, stage.thumbnails(pictures, cells: cells)))
    }
    let masked =
      scale
      * Tensor(
        Shape([range.count] + latentShape), stage.encodeMasked(pictures).mean)
    return Givens(context: inpaintingCondition(maskedLatent: masked, mask: masks(of: pictures)))
  }
}
