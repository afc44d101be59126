/// Outpainting: bands along the edges, at least one (LaMa's generator, as LFM has it).
public struct OutpaintingMasks: Equatable, Sendable {
  /// Width of a band as a share of the picture's side.
  public var padding: ClosedRange<Float> = 0.04...0.25
  /// Of a band on the left, at the top, on the right, at the bottom.
  public var probabilities = SIMD4<Float>(repeating: 0.5)

  public init(
    padding: ClosedRange<Float> = 0.04...0.25,
    probabilities: SIMD4<Float> = SIMD4(repeating: 0.5)
  ) {
    (self.padding, self.probabilities) = (padding, probabilities)
  }

  func mask(_ size: ImageSize, _ draws: inout MaskDraws) -> HoleMask {
    let widths = [size.width, size.height, size.width, size.height].map { side -> Int in
      let least = max(1, Int(padding.lowerBound * Float(side)))
      // LaMa's upper bound is not drawn.
      return draws.integer(in: least...max(least, Int(padding.upperBound * Float(side)) - 1))
    }
    var sides = (0..<4).filter { draws.uniform() < probabilities[$0] }
    if sides.isEmpty { sides = [draws.choice((0..<4).map { probabilities[$0] })] }
    var mask = HoleMask(size)
    for side in sides {
      let n = widths[side]
      switch side {
      case 0: mask.cut(x: 0..<n, y: 0..<size.height)
      case 1: mask.cut(x: 0..<size.width, y: 0..<n)
      case 2: mask.cut(x: size.width - n..<size.width, y: 0..<size.height)
      default: mask.cut(x: 0..<size.width, y: size.height - n..<size.height)
      }
    }
    return mask
  }
}

/// A lattice of kept pixels, as if the picture were to be made larger (LaMa's generator): of every
/// `steps` rows and columns `widths` are hidden.
public struct SuperResolutionMasks: Equatable, Sendable {
  public var steps = 2...4
  public var widths = 1...3

  public init(steps: ClosedRange<Int> = 2...4, widths: ClosedRange<Int> = 1...3) {
    (self.steps, self.widths) = (steps, widths)
  }

  func mask(_ size: ImageSize, _ draws: inout MaskDraws) -> HoleMask {
    func hidden(_ length: Int) -> [Bool] {
      let step = draws.integer(in: steps)
      let least = min(widths.lowerBound, step - 1)
      let width = draws.integer(in: least...max(least, min(step - 1, widths.upperBound)))
      let offset = draws.integer(below: step)
      // The first rows stay up to the offset, as LaMa's slices have it.
      return (0..<length).map { $0 >= offset && ($0 - offset) % step < width }
    }
    let (columns, rows) = (hidden(size.width), hidden(size.height))
    var mask = HoleMask(size)
    for y in 0..<size.height {
      for x in 0..<size.width where rows[y] || columns[x] { mask.cut(x: x..<x + 1, y: y..<y + 1) }
    }
    return mask
  }
}
