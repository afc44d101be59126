import FlowTensor

/// The random numbers of one mask, in the order in which its parts are drawn: all of them are a
/// function of (seed, step, index).
struct MaskDraws {
  private let random: Philox
  private var position = 0

  init(_ random: Philox) { self.random = random }

  /// Uniform in [0, 1).
  mutating func uniform() -> Float {
    defer { position += 1 }
    return random.uniform(position)
  }

  mutating func uniform(_ range: ClosedRange<Float>) -> Float {
    range.lowerBound + (range.upperBound - range.lowerBound) * uniform()
  }

  /// Uniform in 0 ..< bound.
  mutating func integer(below bound: Int) -> Int {
    defer { position += 1 }
    return random.integer(below: bound, position)
  }

  mutating func integer(in range: ClosedRange<Int>) -> Int {
    range.lowerBound + integer(below: range.count)
  }

  /// Index of one of `weights`, in proportion to them.
  mutating func choice(_ weights: [Float]) -> Int {
    var rest = uniform() * weights.reduce(0, +)
    for (i, weight) in weights.enumerated() {
      rest -= weight
      if rest < 0 { return i }
    }
    return weights.lastIndex { $0 > 0 }!
  }
}
