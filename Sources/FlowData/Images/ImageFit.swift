import FlowTensor

/// How images of any size become squares of one size.
public enum ImageFit: Equatable, Codable, Sendable {
  /// Box-halving while the short side is at least twice `size`, then bicubic to it, then the
  /// middle square: the centre crop of ADM (Dhariwal & Nichol 2021), LFM's choice.
  case centerCrop(Int)
  /// Short side to `size`, bilinear with antialiasing, then the middle square: the usual
  /// `Resize` and `CenterCrop` of torchvision.
  case resizeCrop(Int)
  /// ADM's random crop: the short side becomes a length of `size` to 1.25 · `size`, as `centerCrop`
  /// scales, then a square anywhere. Length and place are a function of seed and index.
  case randomCrop(Int, seed: UInt64)
  /// Both sides to `size`, whatever the proportions.
  case stretch(Int, ResizeFilter)

  public var size: Int {
    switch self {
    case .centerCrop(let size), .resizeCrop(let size), .randomCrop(let size, _),
      .stretch(let size, _):
      size
    }
  }
}

extension ImageBuffer {
  /// - Parameter index: the picture's number in its set; only a random crop depends on it.
  public func fitted(_ fit: ImageFit, index: Int = 0) -> ImageBuffer {
    switch fit {
    case .centerCrop(let side):
      return halved(whileTwice: side).bicubic(shortSide: side) { size in
        PixelRegion(
          x: (size.width - side) / 2, y: (size.height - side) / 2, width: side, height: side)
      }
    case .resizeCrop(let side):
      let size = shortSide(becoming: side)
      let half = { (rest: Int) in Int((Double(rest) / 2).rounded(.toNearestOrEven)) }
      return resized(
        width: size.width, height: size.height, .bilinear,
        region: PixelRegion(
          x: half(size.width - side), y: half(size.height - side), width: side, height: side))
    case .randomCrop(let side, let seed):
      let random = Philox(seed: seed, stream: .crop, index: index)
      // 1.25 = 1 / 0.8, the least share of the short side that ADM keeps.
      let short = side + random.integer(below: (5 * side + 3) / 4 - side + 1, 0)
      return halved(whileTwice: short).bicubic(shortSide: short) { size in
        PixelRegion(
          x: random.integer(below: size.width - side + 1, 1),
          y: random.integer(below: size.height - side + 1, 2), width: side, height: side)
      }
    case .stretch(let side, let filter):
      return resized(width: side, height: side, filter)
    }
  }

  private func halved(whileTwice side: Int) -> ImageBuffer {
    var image = self
    while min(image.width, image.height) >= 2 * side {
      image = image.resized(width: image.width / 2, height: image.height / 2, .box)
    }
    return image
  }

  /// The short side becomes `side`, the long one follows (rounded half to even); of the result
  /// the part that `region` says.
  private func bicubic(shortSide side: Int, region: (ImageSize) -> PixelRegion) -> ImageBuffer {
    let scale = Double(side) / Double(min(width, height))
    let scaled = { (length: Int) in
      max(side, Int((Double(length) * scale).rounded(.toNearestOrEven)))
    }
    let size = ImageSize(width: scaled(width), height: scaled(height))
    return resized(width: size.width, height: size.height, .bicubic, region: region(size))
  }
}
