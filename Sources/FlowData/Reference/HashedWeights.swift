import FlowTensor

/// Weights that are a function of their name: reference cases of large networks state a rule per
/// tensor instead of its numbers (FNV-1a of the name, then SplitMix64 over the element index).
public enum HashedWeights {
  public enum Rule: Equatable, Sendable {
    /// float32(scale) · u
    case scale(Float)
    /// 1 + 0.25 u: weights of norms.
    case norm
    /// 0.125 u: every other one-dimensional tensor.
    case bias
    /// 1 + 0.5 u: running variances.
    case positive
  }

  /// FNV-1a, 64 bits, over the UTF-8 bytes.
  public static func hash(_ key: String) -> UInt64 {
    var h: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in key.utf8 { h = (h ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return h
  }

  /// Element `index` of the sequence of `hash`: a 24-bit signed integer.
  public static func integer(_ hash: UInt64, _ index: Int) -> Int {
    var z = hash &+ (UInt64(index) &+ 1) &* 0x9e37_79b9_7f4a_7c15
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    z ^= z >> 31
    return Int(z >> 40) - 1 << 23
  }

  /// The tensor called `key` (with the salt in front of it, if the case has one).
  public static func tensor(_ key: String, _ shape: Shape, _ rule: Rule) -> Tensor {
    let result = Tensor(uninitialized: shape)
    let out = result.base
    let h = hash(key)
    let (offset, factor): (Float, Float)
    switch rule {
    case .scale(let scale): (offset, factor) = (0, scale)
    case .norm: (offset, factor) = (1, 0.25)
    case .bias: (offset, factor) = (0, 0.125)
    case .positive: (offset, factor) = (1, 0.5)
    }
    for i in 0..<shape.count {
      let u = Float(integer(h, i)) * 0x1p-23  // exact, in [-1, 1)
      out[i] = offset + factor * u
    }
    return result
  }
}
