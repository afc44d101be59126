import FlowData
import FlowTensor
import Foundation

/// What an autoencoder or a sampler does to a picture: blur, noise, a shift of the colours.
struct Damage: Sendable, CustomStringConvertible {
  var description: String
  /// Passes of a 3×3 mean.
  var blurs = 0
  /// Standard deviation of the noise and largest shift of a channel, in levels.
  var noise: Float = 0
  var shift: Float = 0
  /// Side of blocks that share most of their noise, as coarse quantisation leaves it.
  var blocks = 1

  func callAsFunction(_ image: ImageBuffer, _ random: Philox) -> ImageBuffer {
    var result = image
    for _ in 0..<blurs { result = boxBlurred(result) }
    let normal = random.normal(Shape([result.pixels.count])).values
    let shifts = (0..<3).map { shift * (2 * random.uniform(1_000_000 + $0) - 1) }
    for i in result.pixels.indices {
      let (x, y, c) = (i / 3 % image.width, i / 3 / image.width, i % 3)
      let block = ((y / blocks * blocks) * image.width + x / blocks * blocks) * 3 + c
      let step = blocks == 1 ? normal[i] : 0.5 * normal[i] + 0.85 * normal[block]
      let moved = noise * step + shifts[c]
      result.pixels[i] = UInt8(max(0, min(255, (Float(result.pixels[i]) + moved).rounded())))
    }
    return result
  }
}

/// The mean over 3×3 pixels, the border repeated.
func boxBlurred(_ image: ImageBuffer) -> ImageBuffer {
  var result = image
  let (width, height) = (image.width, image.height)
  for y in 0..<height {
    let rows = (max(0, y - 1) * width, y * width, min(height - 1, y + 1) * width)
    for x in 0..<width {
      let columns = (max(0, x - 1), x, min(width - 1, x + 1))
      for c in 0..<3 {
        var sum = 4
        for row in [rows.0, rows.1, rows.2] {
          sum += Int(image.pixels[(row + columns.0) * 3 + c])
          sum += Int(image.pixels[(row + columns.1) * 3 + c])
          sum += Int(image.pixels[(row + columns.2) * 3 + c])
        }
        result.pixels[(y * width + x) * 3 + c] = UInt8(sum / 9)
      }
    }
  }
  return result
}

/// Random colours on a coarse lattice, bicubic between: noise of low frequency.
func cloud(_ lattice: Int, _ index: Int, side: Int = 64) -> ImageBuffer {
  let random = Philox(seed: 2, stream: .noise, step: lattice, index: index)
  let levels = random.normal(Shape([lattice * lattice * 3])).values
    .map { UInt8(max(0, min(255, 128 + 64 * $0))) }
  return ImageBuffer(width: lattice, height: lattice, pixels: levels)
    .resized(width: side, height: side, .bicubic)
}

/// a · (1 − weight) + b · weight, pixel by pixel.
func blend(
  _ a: ImageBuffer, _ b: ImageBuffer, _ weight: (_ x: Int, _ y: Int) -> Float
) -> ImageBuffer {
  var result = a
  for y in 0..<a.height {
    for x in 0..<a.width {
      let w = max(0, min(1, weight(x, y)))
      let mixed = SIMD3<Float>(a[x, y]) * (1 - w) + SIMD3<Float>(b[x, y]) * w
      result[x, y] = SIMD3<UInt8>(mixed, rounding: .toNearestOrEven)
    }
  }
  return result
}

/// A patch of a class colour on grey: covered where `inside` (pixels within the edge) is positive.
func patch(_ color: Int, _ inside: (_ x: Float, _ y: Float) -> Float) -> ImageBuffer {
  let colors: [SIMD3<UInt8>] = [
    SIMD3(219, 38, 38), SIMD3(36, 173, 61), SIMD3(38, 76, 224), SIMD3(242, 212, 31),
  ]
  var full = ImageBuffer(width: 64, height: 64, gray: 0)
  for y in 0..<64 { for x in 0..<64 { full[x, y] = colors[color % 4] } }
  return blend(ImageBuffer(width: 64, height: 64, gray: 128), full) { x, y in
    inside(Float(x) - 31.5, Float(y) - 31.5)
  }
}

/// Seconds of processor time that `body` takes on this thread.
func processorSeconds(_ body: () -> Void) -> Double {
  func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
  }
  let start = now()
  body()
  return now() - start
}
