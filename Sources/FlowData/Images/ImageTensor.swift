import FlowTensor

/// How a sample in [-1, 1] becomes a level in 0...255; values outside are clamped, NaN becomes 0.
public enum ToneMap: Sendable {
  /// ⌊127.5·x + 127.5 + ½⌋, the nearest level: undoes x = level/127.5 − 1 exactly. What this
  /// project writes.
  case nearest
  /// ⌊127.5·x + 127.5⌋, as LFM (Dao et al. 2023) converts its samples: half a level darker.
  case truncating

  @inline(__always)
  public func level(_ x: Float) -> UInt8 {
    let scaled = 127.5 * x + (self == .nearest ? 128 : 127.5)
    return scaled >= 255 ? 255 : scaled >= 0 ? UInt8(scaled) : 0
  }
}

extension ImageBuffer {
  /// Writes the pixels as level/127.5 − 1 in [-1, 1], [H, W, 3].
  public func write(normalizedTo out: UnsafeMutablePointer<Float>) {
    pixels.withUnsafeBufferPointer { levels in
      for i in 0..<levels.count { out[i] = Float(levels[i]) / 127.5 - 1 }
    }
  }

  /// Image `index` of `batch`, [B, H, W, 3] in [-1, 1].
  public init(_ batch: Tensor, index: Int, tone: ToneMap = .nearest) {
    let shape = batch.shape
    precondition(
      shape.rank == 4 && shape[3] == 3 && index >= 0 && index < shape[0],
      "image \(index) of a tensor of shape \(shape), not [B, H, W, 3]")
    let count = shape[1] * shape[2] * 3
    let values = batch.base + index * count
    let pixels = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      for i in 0..<count { buffer[i] = tone.level(values[i]) }
      filled = count
    }
    self.init(width: shape[2], height: shape[1], pixels: pixels)
  }
}

/// The batch of `images`, all of one size: [B, H, W, 3] in [-1, 1].
public func tensor(of images: [ImageBuffer]) -> Tensor {
  precondition(!images.isEmpty, "a batch of no images")
  let (height, width) = (images[0].height, images[0].width)
  let batch = Tensor(uninitialized: Shape([images.count, height, width, 3]))
  for (i, image) in images.enumerated() {
    precondition(
      image.size == images[0].size,
      "image \(i) is \(image.sizeText), image 0 is \(images[0].sizeText)")
    image.write(normalizedTo: batch.base + i * height * width * 3)
  }
  return batch
}

/// The images of `batch`, [B, H, W, 3] in [-1, 1].
public func images(of batch: Tensor, tone: ToneMap = .nearest) -> [ImageBuffer] {
  (0..<batch.shape[0]).map { ImageBuffer(batch, index: $0, tone: tone) }
}
