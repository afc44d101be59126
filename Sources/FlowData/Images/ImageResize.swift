import Foundation

/// A reconstruction kernel; when an image shrinks, it widens by the same factor (antialiasing).
public enum ResizeFilter: Sendable {
  /// Mean over the area.
  case box
  /// Tent.
  case bilinear
  /// Keys 1981, «Cubic convolution interpolation», a = −1/2.
  case bicubic

  /// The kernel is zero beyond this distance.
  var radius: Double {
    switch self {
    case .box: 0.5
    case .bilinear: 1
    case .bicubic: 2
    }
  }

  func weight(_ x: Double) -> Double {
    let d = abs(x)
    switch self {
    case .box: return x > -0.5 && x <= 0.5 ? 1 : 0
    case .bilinear: return max(0, 1 - d)
    case .bicubic:
      if d < 1 { return (1.5 * d - 2.5) * d * d + 1 }
      return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0
    }
  }
}

/// How images of any size become squares of one size.
public enum ImageFit: Equatable, Sendable {
  /// Box-halving while the short side is at least twice `size`, then bicubic to it, then the
  /// middle square: the centre crop of ADM (Dhariwal & Nichol 2021), LFM's choice.
  case centerCrop(Int)
  /// Short side to `size`, bilinear with antialiasing, then the middle square: the usual
  /// `Resize` and `CenterCrop` of torchvision.
  case resizeCrop(Int)

  public var size: Int {
    switch self {
    case .centerCrop(let size), .resizeCrop(let size): size
    }
  }
}

extension ImageBuffer {
  public func fitted(_ fit: ImageFit) -> ImageBuffer {
    switch fit {
    case .centerCrop(let side):
      var image = self
      while min(image.width, image.height) >= 2 * side {
        image = image.resized(width: image.width / 2, height: image.height / 2, .box)
      }
      let scale = Double(side) / Double(min(image.width, image.height))
      let scaled = { (length: Int) in
        max(side, Int((Double(length) * scale).rounded(.toNearestOrEven)))
      }
      image = image.resized(width: scaled(image.width), height: scaled(image.height), .bicubic)
      return image.cropped(
        x: (image.width - side) / 2, y: (image.height - side) / 2, width: side, height: side)
    case .resizeCrop(let side):
      let image = resizedShortSide(to: side)
      let half = { (rest: Int) in Int((Double(rest) / 2).rounded(.toNearestOrEven)) }
      return image.cropped(
        x: half(image.width - side), y: half(image.height - side), width: side, height: side)
    }
  }

  /// The short side becomes `side`, the long one follows (rounded down); bilinear, antialiased.
  public func resizedShortSide(to side: Int) -> ImageBuffer {
    let short = min(width, height)
    return resized(width: width * side / short, height: height * side / short, .bilinear)
  }

  /// Separable resampling, rows first, rounded to 8 bits after each direction.
  public func resized(width: Int, height: Int, _ filter: ResizeFilter) -> ImageBuffer {
    precondition(width > 0 && height > 0, "resize to \(width)×\(height)")
    var image = self
    if width != self.width {
      let taps = ResizeTaps(from: self.width, to: width, filter)
      let pixels = taps.apply(
        image.pixels, lines: image.height, lineStride: 3 * self.width, step: 3,
        outLineStride: 3 * width, outStep: 3)
      image = ImageBuffer(width: width, height: image.height, pixels: pixels)
    }
    if height != self.height {
      let taps = ResizeTaps(from: self.height, to: height, filter)
      let pixels = taps.apply(
        image.pixels, lines: width, lineStride: 3, step: 3 * width, outLineStride: 3,
        outStep: 3 * width)
      image = ImageBuffer(width: width, height: height, pixels: pixels)
    }
    return image
  }
}

/// The fixed-point weights with which each output sample of a line reads the input line.
private struct ResizeTaps {
  /// Weights are multiples of 2^-22: a sum over 8-bit samples stays within 32 bits.
  static let fractionBits: Int32 = 22

  let count: Int
  /// Taps per output sample; unused ones are zero.
  let width: Int
  private var first: [Int]
  private var weights: [Int32]

  init(from length: Int, to count: Int, _ filter: ResizeFilter) {
    let scale = Double(length) / Double(count)
    let stretch = max(1, scale)
    let reach = filter.radius * stretch
    self.count = count
    width = min(length, 2 * Int(reach.rounded(.up)) + 1)
    first = []
    weights = [Int32](repeating: 0, count: count * width)
    for i in 0..<count {
      let center = (Double(i) + 0.5) * scale
      let low = max(0, Int(center - reach + 0.5))
      let high = min(length, Int(center + reach + 0.5))
      let raw = (low..<high).map { filter.weight((Double($0) - center + 0.5) / stretch) }
      let total = raw.reduce(0, +)
      let start = min(low, length - width)
      first.append(start)
      for (k, weight) in raw.enumerated() {
        let fixed = weight / total * Double(1 << Self.fractionBits)
        weights[i * width + low - start + k] = Int32(fixed.rounded())
      }
    }
  }

  /// Resamples each of `lines` lines of RGB samples; strides and steps count bytes.
  func apply(
    _ pixels: [UInt8], lines: Int, lineStride: Int, step: Int, outLineStride: Int, outStep: Int
  ) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: lines * count * 3) { out, filled in
      pixels.withUnsafeBufferPointer { source in
        for line in 0..<lines {
          for i in 0..<count {
            let from = line * lineStride + first[i] * step
            let to = line * outLineStride + i * outStep
            for c in 0..<3 {
              var sum: Int32 = 1 << (Self.fractionBits - 1)
              for k in 0..<width {
                sum &+= weights[i * width + k] &* Int32(source[from + k * step + c])
              }
              out[to + c] = UInt8(max(0, min(255, sum >> Self.fractionBits)))
            }
          }
        }
      }
      filled = lines * count * 3
    }
  }
}
