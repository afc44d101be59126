import Diagnostics

/// Which pixels of a picture are to be filled in, as LFM's mask files have it: black in the hole,
/// white where the picture is kept, greys between them where both are mixed.
public struct HoleMask: Equatable, Sendable {
  public let width: Int
  public let height: Int
  /// 0 in the hole, 255 where the picture is kept: [height, width]
  public var levels: [UInt8]

  public init(width: Int, height: Int, levels: [UInt8]) {
    precondition(
      width > 0 && height > 0 && levels.count == width * height,
      "\(levels.count) levels for a mask of \(width)×\(height)")
    (self.width, self.height, self.levels) = (width, height, levels)
  }

  /// A mask that keeps everything.
  public init(_ size: ImageSize) {
    self.init(
      width: size.width, height: size.height,
      levels: [UInt8](repeating: 255, count: size.width * size.height))
  }

  public var size: ImageSize { ImageSize(width: width, height: height) }

  /// Levels below this count as the hole where a pixel must be one or the other.
  public static let middle: UInt8 = 128

  public func isHole(_ x: Int, _ y: Int) -> Bool { levels[y * width + x] < Self.middle }

  /// The share of the picture that the hole covers.
  public var area: Double { Double(levels.count { $0 < Self.middle }) / Double(levels.count) }

  /// Cuts a box; what lies outside the picture is passed over.
  mutating func cut(x: Range<Int>, y: Range<Int>) {
    let (x, y) = (x.clamped(to: 0..<width), y.clamped(to: 0..<height))
    for row in y { for column in x { levels[row * width + column] = 0 } }
  }

  /// Hole and picture exchanged.
  public func inverted() -> HoleMask {
    HoleMask(width: width, height: height, levels: levels.map { 255 - $0 })
  }

  /// The hole grown by `pixels` in every direction, diagonals too.
  func grown(by pixels: Int) -> HoleMask {
    guard pixels > 0 else { return self }
    var result = self
    for y in 0..<height {
      for x in 0..<width where isHole(x, y) {
        result.cut(x: x - pixels..<x + pixels + 1, y: y - pixels..<y + pixels + 1)
      }
    }
    return result
  }

  public func flippedHorizontally() -> HoleMask {
    HoleMask(LabelMap(width: width, height: height, labels: levels).flippedHorizontally())
  }

  /// The levels under the pixels of the fitted picture.
  ///
  /// - Parameters:
  ///   - image: size of the picture before it was fitted.
  ///   - index: the picture's number in its set.
  public func fitted(_ fit: ImageFit, image: ImageSize, index: Int = 0) -> HoleMask {
    let map = LabelMap(width: width, height: height, labels: levels)
    return HoleMask(map.fitted(fit, image: image, index: index))
  }

  private init(_ map: LabelMap) {
    self.init(width: map.width, height: map.height, levels: map.labels)
  }
}

extension HoleMask {
  /// Reads a PNG, JPEG or WebP file of any kind. Colours become grey as Pillow's `convert("L")`
  /// makes them; alpha is dropped, 16-bit samples keep their high byte.
  public init(contentsOf path: String) throws {
    let image = try ImageBuffer(contentsOf: path)
    // ITU-R 601-2 luma in 16 bits.
    let weights = SIMD3<Int>(19_595, 38_470, 7_471)
    let levels = (0..<image.width * image.height).map { i -> UInt8 in
      let color = image[i % image.width, i / image.width]
      let sum = (SIMD3<Int>(truncatingIfNeeded: color) &* weights).wrappedSum()
      return UInt8((sum + 0x8000) >> 16)
    }
    self.init(width: image.width, height: image.height, levels: levels)
  }

  /// Writes a grey PNG of 8 bits.
  public func writePNG(to path: String) throws {
    try LabelMap(width: width, height: height, labels: levels).writePNG(to: path)
  }

  /// As a grey picture.
  public var image: ImageBuffer {
    ImageBuffer(width: width, height: height, pixels: levels.flatMap { [$0, $0, $0] })
  }

  /// `image` with its hole of one grey level; LFM's networks are shown 0.
  public func masked(_ image: ImageBuffer, hole: UInt8 = 0) -> ImageBuffer {
    precondition(image.size == size, "a mask of \(size) for an image of \(image.sizeText)")
    return mixed(image) { _ in hole }
  }

  private func mixed(_ image: ImageBuffer, hole: (_ index: Int) -> UInt8) -> ImageBuffer {
    var result = image
    for i in levels.indices where levels[i] < 255 {
      let share = Int(levels[i])
      for c in 3 * i..<3 * i + 3 {
        let mixed = share * Int(image.pixels[c]) + (255 - share) * Int(hole(c))
        result.pixels[c] = UInt8((mixed + 127) / 255)
      }
    }
    return result
  }

  /// What an inpainting shows: `result` in the hole, `image` elsewhere, level by level.
  public func composite(_ result: ImageBuffer, over image: ImageBuffer) -> ImageBuffer {
    precondition(
      image.size == size && result.size == size,
      "a mask of \(size) for images of \(image.sizeText) and \(result.sizeText)")
    return mixed(image) { result.pixels[$0] }
  }
}
