import CImage
import Foundation

/// A reconstruction kernel; when an image shrinks, it widens by the same factor (antialiasing).
public enum ResizeFilter: String, Codable, Sendable, CaseIterable {
  /// Mean over the area; when an image grows, the nearest pixel.
  case box
  /// Tent.
  case bilinear
  /// Keys 1981, «Cubic convolution interpolation», a = −1/2.
  case bicubic
  /// sinc(x) · sinc(x / 3), |x| < 3.
  case lanczos

  /// The kernel is zero beyond this distance.
  var radius: Double {
    switch self {
    case .box: 0.5
    case .bilinear: 1
    case .bicubic: 2
    case .lanczos: 3
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
    case .lanczos: return d < 3 ? sinc(d) * sinc(d / 3) : 0
    }
  }

  /// sin(πx) / πx
  private func sinc(_ x: Double) -> Double { x == 0 ? 1 : sin(.pi * x) / (.pi * x) }
}

/// A rectangle of pixels.
struct PixelRegion {
  var x, y, width, height: Int
}

extension ImageBuffer {
  /// The short side becomes `side`, the long one follows (rounded down); bilinear, antialiased.
  public func resizedShortSide(to side: Int) -> ImageBuffer {
    let size = shortSide(becoming: side)
    return resized(width: size.width, height: size.height, .bilinear)
  }

  func shortSide(becoming side: Int) -> ImageSize {
    let short = min(width, height)
    return ImageSize(width: width * side / short, height: height * side / short)
  }

  /// Separable resampling, rows first, rounded to 8 bits after each direction.
  public func resized(width: Int, height: Int, _ filter: ResizeFilter) -> ImageBuffer {
    resized(
      width: width, height: height, filter,
      region: PixelRegion(x: 0, y: 0, width: width, height: height))
  }

  /// `region` of what `resized` gives; the rest is not computed.
  func resized(
    width: Int, height: Int, _ filter: ResizeFilter, region: PixelRegion
  ) -> ImageBuffer {
    precondition(width > 0 && height > 0, "resize to \(width)×\(height)")
    let columns = ResizeTaps(
      from: self.width, to: width, region.x..<region.x + region.width, filter)
    let rows = ResizeTaps(
      from: self.height, to: height, region.y..<region.y + region.height, filter)
    // Only the input rows that the second pass reads go through the first.
    let band = cropped(rows: height == self.height ? rows.outputs : rows.inputs)
    var image = band
    if width != self.width {
      image = band.resampledX(columns)
    } else if region.width != width {
      image = band.cropped(x: region.x, y: 0, width: region.width, height: band.height)
    }
    return height == self.height ? image : image.resampledY(rows)
  }

  private func cropped(rows: Range<Int>) -> ImageBuffer {
    rows == 0..<height ? self : cropped(x: 0, y: rows.lowerBound, width: width, height: rows.count)
  }

  private func resampledX(_ taps: ResizeTaps) -> ImageBuffer {
    let outWidth = taps.outputs.count
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 * width, alignment: 32)
    defer { scratch.deallocate() }
    let count = outWidth * height * 3
    let out = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      taps.withCTaps { taps in
        cimage_resample_x(
          pixels, 3 * width, Int32(width), buffer.baseAddress, 3 * outWidth, Int32(height), taps,
          scratch.baseAddress?.assumingMemoryBound(to: Int32.self))
      }
      filled = count
    }
    return ImageBuffer(width: outWidth, height: height, pixels: out)
  }

  /// Row 0 of this image is the first input row of `taps`.
  private func resampledY(_ taps: ResizeTaps) -> ImageBuffer {
    let count = taps.outputs.count * width * 3
    let out = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      taps.counted(from: taps.inputs.lowerBound).withCTaps { taps in
        cimage_resample_y(pixels, 3 * width, buffer.baseAddress, 3 * width, Int32(3 * width), taps)
      }
      filled = count
    }
    return ImageBuffer(width: width, height: taps.outputs.count, pixels: out)
  }
}

/// The fixed-point weights with which output samples of a line read the input line.
private struct ResizeTaps {
  /// Weights are multiples of 2^-22: a sum over 8-bit samples stays within 32 bits.
  static let fractionBits: Int32 = 22

  /// The output samples that are made, of all those of the line.
  let outputs: Range<Int>
  /// The input samples that they read.
  private(set) var inputs: Range<Int>
  /// Taps per output sample; unused ones are zero.
  private let width: Int
  private var first: [Int32]
  private var weights: [Int32]

  init(from length: Int, to count: Int, _ outputs: Range<Int>, _ filter: ResizeFilter) {
    let scale = Double(length) / Double(count)
    let stretch = max(1, scale)
    let reach = filter.radius * stretch
    self.outputs = outputs
    width = min(length, 2 * Int(reach.rounded(.up)) + 1)
    first = []
    weights = [Int32](repeating: 0, count: outputs.count * width)
    for (slot, i) in outputs.enumerated() {
      let center = (Double(i) + 0.5) * scale
      let low = max(0, Int(center - reach + 0.5))
      let high = min(length, Int(center + reach + 0.5))
      let raw = (low..<high).map { filter.weight((Double($0) - center + 0.5) / stretch) }
      let total = raw.reduce(0, +)
      let start = min(low, length - width)
      first.append(Int32(start))
      for (k, weight) in raw.enumerated() {
        let fixed = weight / total * Double(1 << Self.fractionBits)
        weights[slot * width + low - start + k] = Int32(fixed.rounded())
      }
    }
    let starts = first.map(Int.init)
    inputs = (starts.min() ?? 0)..<((starts.max() ?? 0) + width)
  }

  /// The same taps on a line whose first sample is `origin` of this one.
  func counted(from origin: Int) -> ResizeTaps {
    var moved = self
    moved.first = first.map { $0 - Int32(origin) }
    moved.inputs = inputs.lowerBound - origin..<inputs.upperBound - origin
    return moved
  }

  func withCTaps(_ body: (cimage_taps) -> Void) {
    first.withUnsafeBufferPointer { first in
      weights.withUnsafeBufferPointer { weights in
        body(
          cimage_taps(
            count: Int32(outputs.count), width: Int32(width), first: first.baseAddress,
            weights: weights.baseAddress))
      }
    }
  }
}
