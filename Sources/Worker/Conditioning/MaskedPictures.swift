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
public enum HoleContext: String, CaseIterable, Sendable {
  /// The latent of the picture, its hole black, and the mask at the latent's size (LFM): C + 1
  /// channels. What the encoder makes of visible pixels depends on the hole, too.
  case latent
  /// Pixels and mask themselves, every f×f square of them as the channels of a latent pixel: 4·f².
  case pixels

  /// - Parameter factor: f, image pixels per latent pixel along each axis.
  public func channels(latentChannels: Int, factor: Int) -> Int {
    self == .latent ? latentChannels + 1 : 4 * factor * factor
  }
}

extension FirstStage {
  /// Pixels of pictures whose holes are black, and their masks, [n, h, w, 4·f²] flattened.
  func masked(_ pictures: [MaskedPicture]) -> [Float] {
    let mask = masks(of: pictures)
    let visible = maskedImage(tensor(of: pictures.map(\.image)), mask: mask)
    return patchify(concatenate(visible, mask), patch: downsamplingFactor).values
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
    if context == .pixels {
      let values = stage.masked(pictures)
      let extents = [range.count, latentShape[0], latentShape[1]]
      return Givens(
        context: Tensor(Shape(extents + [values.count / extents.reduce(1, *)]), values))
    }
    let masked =
      scale
      * Tensor(
        Shape([range.count] + latentShape), stage.encodeMasked(pictures).mean)
    return Givens(context: inpaintingCondition(maskedLatent: masked, mask: masks(of: pictures)))
  }
}
