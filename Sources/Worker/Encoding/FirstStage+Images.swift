import Diagnostics
import FlowData
import FlowTensor

// Images on their way into the first stage: what `encode` and training without a cache share, so
// that both come to the same bits.

extension FirstStage {
  /// Images per call of the autoencoder. Fewer are filled up with the first of them: products pick
  /// their kernels by shape, so only one shape gives an image the same bits in any company.
  public static let batch = 32

  /// The distribution of the latents of at most `batch` images of one size.
  ///
  /// - Returns: rows beyond those of the images belong to the filling
  public func encode(_ images: [ImageBuffer]) -> (mean: Tensor, logvar: Tensor?) {
    precondition((1...Self.batch).contains(images.count), "\(images.count) images at once")
    let filling = Array(repeating: images[0], count: Self.batch - images.count)
    return encode(tensor(of: images + filling))
  }

  /// Images of one size as they come back from their latents, the means of the posterior.
  public func reconstructed(_ images: [ImageBuffer]) -> [ImageBuffer] {
    stride(from: 0, to: images.count, by: Self.batch).flatMap { first in
      let some = Array(images[first..<min(first + Self.batch, images.count)])
      let decoded = decode(encode(some).mean)  // [B, H, W, 3]
      return some.indices.map { ImageBuffer(decoded, index: $0) }
    }
  }

  /// Throws `.badData` unless an image of `size` has latents of `latentShape`.
  func check(_ size: ImageSize, latentShape: [Int], place: String) throws {
    let f = downsamplingFactor
    try check(
      size, as: ImageSize(width: latentShape[1] * f, height: latentShape[0] * f), place: place)
  }

  /// Throws `.badData` unless an image measures what it should.
  func check(_ size: ImageSize, as expected: ImageSize, place: String) throws {
    guard size == expected else {
      throw UserError(
        .badData, place, found: "\(size) pixels", expected: "\(expected)",
        advice: "give a size that all images are cropped and scaled to")
    }
  }

  /// [H, W, C] of the latents of images of `size`. Throws `.badData` where the first stage does
  /// not divide its sides.
  public func latentShape(of size: ImageSize, place: String) throws -> [Int] {
    let f = downsamplingFactor
    guard size.width % f == 0, size.height % f == 0 else {
      throw UserError(
        .badData, place, found: "\(size) pixels",
        expected: "sides that the first stage divides by \(f)",
        advice: "give a size, a multiple of \(f)")
    }
    return [size.height / f, size.width / f, latentChannels]
  }
}
