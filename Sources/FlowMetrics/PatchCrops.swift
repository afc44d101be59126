import FlowTensor

/// Random crops of images, each a function of (seed, image index, crop) alone: patch-FID judges
/// details of large images at their own resolution, where FID would shrink them to 299 pixels.
public struct PatchCrops: Equatable, Sendable {
  /// Side in pixels.
  public let size: Int
  public let perImage: Int
  public let seed: UInt64

  public init(size: Int, perImage: Int = 1, seed: UInt64) {
    precondition(size >= 1 && perImage >= 1, "\(perImage) crops of \(size) pixels")
    (self.size, self.perImage, self.seed) = (size, perImage, seed)
  }

  /// The upper left pixel of crop number `crop` of image `index`, uniform over where it fits.
  public func origin(
    index: Int, crop: Int, height: Int, width: Int
  ) -> (row: Int, column: Int) {
    precondition(
      size <= min(height, width), "a crop of \(size) pixels of an image of \(height)×\(width)")
    let draw = Philox(seed: seed, stream: .crop, step: crop, index: index)
    return (
      draw.integer(below: height - size + 1, 0), draw.integer(below: width - size + 1, 1)
    )
  }

  /// All crops of images `first`, `first` + 1, …: image by image.
  ///
  /// - Parameter images: [B, H, W, C]
  /// - Returns: [B·perImage, size, size, C]
  public func crops(of images: Tensor, first: Int) -> Tensor {
    precondition(images.shape.rank == 4, "crops of images \(images.shape)")
    let (h, w, c) = (images.shape[1], images.shape[2], images.shape[3])
    let y = Tensor(uninitialized: [images.shape[0] * perImage, size, size, c])
    for b in 0..<images.shape[0] {
      for crop in 0..<perImage {
        let (row, column) = origin(index: first + b, crop: crop, height: h, width: w)
        let from = images.base + ((b * h + row) * w + column) * c
        let to = y.base + (b * perImage + crop) * size * size * c
        for i in 0..<size { (to + i * size * c).update(from: from + i * w * c, count: size * c) }
      }
    }
    withExtendedLifetime(images) {}
    return y
  }
}
