import Diagnostics
import FlowTensor

/// One picture of the shapes set and what is known about it.
public struct ShapeSample: Sendable {
  public var image: ImageBuffer
  public var label: Int
  /// 0 on the background, 1 + label on the shape: [size, size].
  public var mask: LabelMap
  public var shapeClass: ShapeClass { ShapeClass(label: label) }
}

/// The embedded data set: one coloured shape on a quiet ground, drawn from (seed, index) alone.
///
/// 4 shapes × 4 colours = 16 classes, label = 4 · shape + colour, each class once in every 16
/// consecutive indices (in an order drawn from the seed). Radius 0.21–0.31 of the side, rotation
/// ±12°, centre anywhere that keeps the shape whole, colours jittered by ±0.05; the ground is
/// nearly grey, its level 0.3–0.75 with a gentle linear gradient.
public struct ShapesDataset: MaskedImageSource {
  public let size: Int
  public let seed: UInt64
  public let count: Int
  /// Index of the first sample: sets with disjoint index ranges share no picture.
  public let startIndex: Int

  public init(size: Int, seed: UInt64, count: Int = .max, startIndex: Int = 0) {
    precondition(size >= 16 && size <= maximumImageSide, "shapes of side \(size), not 16 or more")
    precondition(count >= 0 && startIndex >= 0, "\(count) samples from index \(startIndex)")
    self.size = size
    self.seed = seed
    self.count = count
    self.startIndex = startIndex
  }

  public var classNames: [String]? { ShapeClass.names }

  public var path: String { "shapes:\(size)" }

  public var storedBytes: Int { 0 }

  public func contents(_ i: Int) -> ImageContents { .pixels(draw(i).image) }

  public func image(_ i: Int) -> ImageBuffer { draw(i).image }

  public func name(_ i: Int) -> String { shapeFileName(startIndex + i) }

  public func fingerprint() throws -> String {
    let text = "shapes 1, size \(size), seed \(seed), from \(startIndex), count \(count)"
    return Array(text.utf8).withUnsafeBytes { sha256Hex(of: $0) }
  }

  public func label(_ i: Int) -> Int? {
    let index = startIndex + i
    // Step 1 of the stream, so that no picture shares its numbers.
    let order = permutation(
      of: ShapeClass.count,
      Philox(seed: seed, stream: .shapes, step: 1, index: index / ShapeClass.count))
    return order[index % ShapeClass.count]
  }

  public var maskClasses: Int { 1 + ShapeClass.count }

  public func mask(_ i: Int) -> LabelMap { draw(i).mask }

  public func draw(_ i: Int) -> ShapeSample {
    precondition(i >= 0 && i < count, "sample \(i) of \(count)")
    let label = label(i)!
    let scene = ShapeScene(
      ShapeClass(label: label), side: Float(size),
      Philox(seed: seed, stream: .shapes, index: startIndex + i))
    var image = ImageBuffer(width: size, height: size, gray: 0)
    var mask = LabelMap(
      width: size, height: size, labels: [UInt8](repeating: 0, count: size * size))
    scene.paint(&image.pixels, &mask.labels, size: size, inside: UInt8(1 + label))
    return ShapeSample(image: image, label: label, mask: mask)
  }
}

/// "000012.png": indices sort as names.
func shapeFileName(_ index: Int) -> String {
  let digits = String(index)
  return String(repeating: "0", count: max(0, 6 - digits.count)) + digits + ".png"
}

/// Where the shape stands and how everything is coloured.
private struct ShapeScene {
  let outline: ShapeOutline
  let color: SIMD3<Float>
  let ground: SIMD3<Float>
  /// Change of the ground per pixel to the right and downwards.
  let gradient: SIMD2<Float>

  init(_ shape: ShapeClass, side: Float, _ random: Philox) {
    let radius = side * (0.21 + 0.10 * random.uniform(0))
    let rotation = (2 * random.uniform(1) - 1) * 12 * .pi / 180
    // One pixel of ground stays visible on every side.
    let margin = radius * shape.kind.reach + 1
    let center = SIMD2(
      margin + (side - 2 * margin) * random.uniform(2),
      margin + (side - 2 * margin) * random.uniform(3))
    outline = ShapeOutline(shape.kind, center: center, radius: radius, rotation: rotation)
    color = shape.color.rgb
      + 0.05 * (2 * SIMD3(random.uniform(4), random.uniform(5), random.uniform(6)) - 1)
    let tint = 0.03 * (2 * SIMD3(random.uniform(8), random.uniform(9), random.uniform(10)) - 1)
    ground = 0.3 + 0.45 * random.uniform(7) + tint
    let angle = 2 * Float.pi * random.uniform(11)
    gradient = 0.12 * random.uniform(12) / side * SIMD2(cosine(angle), sine(angle))
  }

  func paint(_ pixels: inout [UInt8], _ labels: inout [UInt8], size: Int, inside: UInt8) {
    let middle = SIMD2<Float>(repeating: Float(size) / 2)
    let (low, high) = (SIMD3<Float>(repeating: 0), SIMD3<Float>(repeating: 255))
    var shares = [Float](repeating: 0, count: size)
    pixels.withUnsafeMutableBufferPointer { pixels in
      for y in 0..<size {
        outline.coverRow(y, &shares)
        for x in 0..<size {
          let point = SIMD2(Float(x) + 0.5, Float(y) + 0.5)
          let behind = ground + ((point - middle) * gradient).sum()
          let mixed = 255 * (behind + shares[x] * (color - behind)) + 0.5
          let level = SIMD3<UInt8>(mixed.clamped(lowerBound: low, upperBound: high))
          let i = y * size + x
          (pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2]) = (level.x, level.y, level.z)
          if shares[x] >= 0.5 { labels[i] = inside }
        }
      }
    }
  }
}
