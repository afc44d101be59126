import Foundation

/// What a random number is for. A draw is a function of (seed, stream, step, index, position) and
/// of nothing else: no result depends on how many ranks there are or on who did the work.
public enum RandomStream: UInt8, Sendable, CaseIterable {
  case noise = 1, time, labelDrop, flip, posterior, shuffle, initialization, sampleNoise,
    sampleLabel, shapes, split, churn, crop, mask, filling, lowPosterior, maskedPosterior
  case resample = 32
}

/// Philox4x32-10, a counter-based generator.
/// Salmon et al. 2011, «Parallel random numbers: as easy as 1, 2, 3», table 2 and § 3.3.
public struct Philox: Sendable {
  private let key: (UInt32, UInt32)
  private let stream: UInt32
  private let step: UInt32
  private let index: UInt32
  private let tail: UInt32

  /// - Parameters:
  ///   - step: training step or epoch, below 2^44.
  ///   - index: sample index, below 2^44.
  public init(seed: UInt64, stream: RandomStream, step: Int = 0, index: Int = 0) {
    precondition(step >= 0 && step < 1 << 44 && index >= 0 && index < 1 << 44)
    key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    self.stream = UInt32(stream.rawValue)
    self.step = UInt32(truncatingIfNeeded: step)
    self.index = UInt32(truncatingIfNeeded: index)
    // 12 high bits of both, 8 bits of stream: the fourth counter word.
    tail = UInt32(step >> 32) << 20 | UInt32(index >> 32) << 8 | UInt32(stream.rawValue)
  }

  /// The four 32-bit words of block `block`.
  @inline(__always)
  public func words(_ block: UInt32) -> SIMD4<UInt32> {
    Philox.bijection(counter: SIMD4(block, index, step, tail), key: key)
  }

  /// Ten rounds over a raw counter and key (the test vectors of the paper's library apply).
  public static func bijection(counter: SIMD4<UInt32>, key: (UInt32, UInt32)) -> SIMD4<UInt32> {
    var c = counter
    var (k0, k1) = key
    for _ in 0..<10 {
      let p0 = UInt64(0xD251_1F53) * UInt64(c[0])
      let p1 = UInt64(0xCD9E_8D57) * UInt64(c[2])
      c = SIMD4(
        UInt32(truncatingIfNeeded: p1 >> 32) ^ c[1] ^ k0, UInt32(truncatingIfNeeded: p1),
        UInt32(truncatingIfNeeded: p0 >> 32) ^ c[3] ^ k1, UInt32(truncatingIfNeeded: p0))
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    return c
  }

  /// Uniform in [0, 1): multiples of 2^-24, number `position` of this stream.
  public func uniform(_ position: Int = 0) -> Float {
    Float(words(UInt32(position / 4))[position % 4] >> 8) * 0x1p-24
  }

  /// Uniform integer in 0..<bound (Lemire's multiply-shift; the bias is below bound / 2^32).
  public func integer(below bound: Int, _ position: Int = 0) -> Int {
    precondition(bound > 0 && bound <= 1 << 31)
    return Int((UInt64(words(UInt32(position / 4))[position % 4]) * UInt64(bound)) >> 32)
  }

  /// Standard normal draws 0..<count (Box–Muller on pairs of words).
  public func fillNormal(_ out: UnsafeMutablePointer<Float>, count: Int) {
    var block: UInt32 = 0
    var i = 0
    while i < count {
      let w = words(block)
      for pair in 0..<2 where i < count {
        let u1 = (Float(w[2 * pair] >> 8) + 1) * 0x1p-24  // (0, 1]
        let u2 = Float(w[2 * pair + 1] >> 8) * 0x1p-24
        let radius = (-2 * log(u1)).squareRoot()
        let angle = 2 * Float.pi * u2
        out[i] = radius * cos(angle)
        if i + 1 < count { out[i + 1] = radius * sin(angle) }
        i += 2
      }
      block &+= 1
    }
  }

  public func normal(_ shape: Shape) -> Tensor {
    let result = Tensor(uninitialized: shape)
    fillNormal(result.base, count: result.count)
    return result
  }
}

/// A permutation of 0..<count drawn from `generator` (Fisher–Yates, last to first).
public func permutation(of count: Int, _ generator: Philox) -> [Int] {
  var order = Array(0..<count)
  var position = 0
  for i in stride(from: count - 1, to: 0, by: -1) {
    order.swapAt(i, generator.integer(below: i + 1, position))
    position += 1
  }
  return order
}
