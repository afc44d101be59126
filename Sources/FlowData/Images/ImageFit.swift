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

/// Where the square lies that a fit cuts: the image becomes `scaled`, of which `region` is kept.
struct FitGeometry {
  var scaled: ImageSize
  var region: PixelRegion
}

extension ImageFit {
  /// - Parameters:
  ///   - image: the size of the image before it is fitted.
  ///   - index: the picture's number in its set; only a random crop depends on it.
  func geometry(of image: ImageSize, index: Int) -> FitGeometry {
    switch self {
    case .centerCrop(let side):
      let size = Self.bicubicSize(of: Self.halved(image, whileTwice: side), shortSide: side)
      return FitGeometry(
        scaled: size,
        region: PixelRegion(
          x: (size.width - side) / 2, y: (size.height - side) / 2, width: side, height: side))
    case .resizeCrop(let side):
      let short = min(image.width, image.height)
      let size = ImageSize(
        width: image.width * side / short, height: image.height * side / short)
      let half = { (rest: Int) in Int((Double(rest) / 2).rounded(.toNearestOrEven)) }
      return FitGeometry(
        scaled: size,
        region: PixelRegion(
          x: half(size.width - side), y: half(size.height - side), width: side, height: side))
    case .randomCrop(let side, let seed):
      let random = Philox(seed: seed, stream: .crop, index: index)
      let short = Self.randomShortSide(side, random)
      let size = Self.bicubicSize(of: Self.halved(image, whileTwice: short), shortSide: short)
      return FitGeometry(
        scaled: size,
        region: PixelRegion(
          x: random.integer(below: size.width - side + 1, 1),
          y: random.integer(below: size.height - side + 1, 2), width: side, height: side))
    case .stretch(let side, _):
      return FitGeometry(
        scaled: ImageSize(width: side, height: side),
        region: PixelRegion(x: 0, y: 0, width: side, height: side))
    }
  }

  /// 1.25 = 1 / 0.8, the least share of the short side that ADM keeps.
  private static func randomShortSide(_ side: Int, _ random: Philox) -> Int {
    side + random.integer(below: (5 * side + 3) / 4 - side + 1, 0)
  }

  private static func halved(_ image: ImageSize, whileTwice side: Int) -> ImageSize {
    var size = image
    while min(size.width, size.height) >= 2 * side {
      size = ImageSize(width: size.width / 2, height: size.height / 2)
    }
    return size
  }

  /// The short side becomes `side`, the long one follows (rounded half to even).
  private static func bicubicSize(of image: ImageSize, shortSide side: Int) -> ImageSize {
    let scale = Double(side) / Double(min(image.width, image.height))
    let scaled = { (length: Int) in
      max(side, Int((Double(length) * scale).rounded(.toNearestOrEven)))
    }
    return ImageSize(width: scaled(image.width), height: scaled(image.height))
  }

  /// The short side that box halving goes down to, at least half of it; nil where nothing is
  /// halved.
  fileprivate func halvingSide(index: Int) -> Int? {
    switch self {
    case .centerCrop(let side): side
    case .randomCrop(let side, let seed):
      Self.randomShortSide(side, Philox(seed: seed, stream: .crop, index: index))
    case .resizeCrop, .stretch: nil
    }
  }

  fileprivate var filter: ResizeFilter {
    switch self {
    case .centerCrop, .randomCrop: .bicubic
    case .resizeCrop: .bilinear
    case .stretch(_, let filter): filter
    }
  }
}

extension ImageBuffer {
  /// - Parameter index: the picture's number in its set; only a random crop depends on it.
  public func fitted(_ fit: ImageFit, index: Int = 0) -> ImageBuffer {
    let geometry = fit.geometry(of: size, index: index)
    var image = self
    if let side = fit.halvingSide(index: index) {
      while min(image.width, image.height) >= 2 * side {
        image = image.resized(width: image.width / 2, height: image.height / 2, .box)
      }
    }
    return image.resized(
      width: geometry.scaled.width, height: geometry.scaled.height, fit.filter,
      region: geometry.region)
  }
}

extension LabelMap {
  /// The mirror image, left and right exchanged.
  public func flippedHorizontally() -> LabelMap {
    var result = self
    for y in 0..<height {
      for x in 0..<width { result.labels[y * width + x] = labels[y * width + width - 1 - x] }
    }
    return result
  }

  /// The labels under the pixels of the fitted image: of each the one at its middle, never a mean.
  ///
  /// - Parameters:
  ///   - image: size of the image before it was fitted; the map may be coarser or finer.
  ///   - index: the picture's number in its set.
  public func fitted(_ fit: ImageFit, image: ImageSize, index: Int = 0) -> LabelMap {
    let g = fit.geometry(of: image, index: index)
    func places(_ start: Int, _ count: Int, of scaled: Int, in length: Int) -> [Int] {
      (start..<start + count).map { min(length - 1, (2 * $0 + 1) * length / (2 * scaled)) }
    }
    let columns = places(g.region.x, g.region.width, of: g.scaled.width, in: width)
    let rows = places(g.region.y, g.region.height, of: g.scaled.height, in: height)
    return LabelMap(
      width: columns.count, height: rows.count,
      labels: rows.flatMap { y in columns.map { x in labels[y * width + x] } })
  }
}
