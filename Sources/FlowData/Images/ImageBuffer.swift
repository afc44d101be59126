/// An RGB picture of 8 bits a sample, interleaved, rows from the top: pixel (x, y) starts at
/// `pixels[(y * width + x) * 3]`.
public struct ImageBuffer: Equatable, Sendable {
  public let width: Int
  public let height: Int
  /// [height, width, 3]
  public var pixels: [UInt8]

  public init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(
      width > 0 && height > 0 && pixels.count == width * height * 3,
      "\(pixels.count) bytes for an RGB image of \(width)×\(height)")
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// An image of one grey level.
  public init(width: Int, height: Int, gray: UInt8) {
    self.init(
      width: width, height: height, pixels: [UInt8](repeating: gray, count: width * height * 3))
  }

  /// "640×480", for messages.
  public var sizeText: String { "\(width)×\(height)" }

  /// Red, green and blue of the pixel in column `x` and row `y`.
  public subscript(x: Int, y: Int) -> SIMD3<UInt8> {
    get {
      let i = (y * width + x) * 3
      return SIMD3(pixels[i], pixels[i + 1], pixels[i + 2])
    }
    set {
      let i = (y * width + x) * 3
      pixels[i] = newValue.x
      pixels[i + 1] = newValue.y
      pixels[i + 2] = newValue.z
    }
  }

  /// The mirror image, left and right exchanged.
  public func flippedHorizontally() -> ImageBuffer {
    var result = self
    for y in 0..<height {
      for x in 0..<width { result[x, y] = self[width - 1 - x, y] }
    }
    return result
  }

  /// The part of `width` × `height` pixels whose upper left corner is (`x`, `y`).
  public func cropped(x: Int, y: Int, width: Int, height: Int) -> ImageBuffer {
    precondition(
      x >= 0 && y >= 0 && x + width <= self.width && y + height <= self.height,
      "crop of \(width)×\(height) at (\(x), \(y)) from an image of \(sizeText)")
    var part = [UInt8]()
    part.reserveCapacity(width * height * 3)
    for row in y..<y + height {
      let start = (row * self.width + x) * 3
      part.append(contentsOf: pixels[start..<start + width * 3])
    }
    return ImageBuffer(width: width, height: height, pixels: part)
  }
}

/// A class number per pixel, as a segmentation mask stores it: `labels[y * width + x]`.
public struct LabelMap: Equatable, Sendable {
  public let width: Int
  public let height: Int
  /// [height, width]
  public var labels: [UInt8]

  public init(width: Int, height: Int, labels: [UInt8]) {
    precondition(
      width > 0 && height > 0 && labels.count == width * height,
      "\(labels.count) labels for a map of \(width)×\(height)")
    self.width = width
    self.height = height
    self.labels = labels
  }
}
