/// Random boxes (LaMa, arXiv 2109.07161). Lengths are in pixels of a picture of 256 and scale with
/// the picture.
public struct BoxMasks: Equatable, Sendable {
  /// Pixels along the picture's edges that stay.
  public var margin = 10
  public var sides = 30...100
  public var times = 0...3

  public init(margin: Int = 10, sides: ClosedRange<Int> = 30...100, times: ClosedRange<Int> = 0...3)
  {
    (self.margin, self.sides, self.times) = (margin, sides, times)
  }

  func mask(_ size: ImageSize, _ draws: inout MaskDraws) -> HoleMask {
    var mask = HoleMask(size)
    let scale = Float(min(size.width, size.height)) / MaskGenerator.referenceSide
    let margin = Int(scale * Float(margin))
    let room = max(1, min(size.width, size.height) - 2 * margin)
    let longest = max(1, min(room, Int(scale * Float(sides.upperBound))))
    let shortest = max(1, min(longest, Int(scale * Float(sides.lowerBound))))
    for _ in 0..<draws.integer(in: times) {
      let width = draws.integer(in: shortest...longest)
      let height = draws.integer(in: shortest...longest)
      let x = draws.integer(in: margin...max(margin, size.width - margin - width))
      let y = draws.integer(in: margin...max(margin, size.height - margin - height))
      mask.cut(x: x..<x + width, y: y..<y + height)
    }
    return mask
  }
}

/// One box by its area: sides of √0.1 to √0.35 of the picture's, anywhere, or the square of 22.5 %
/// in the middle (LFM's «dumb» masks, in training and in evaluation).
public struct AreaBoxMasks: Equatable, Sendable {
  public var isCentered: Bool
  static let shares: ClosedRange<Float> = 0.1...0.35
  static let centerShare: Float = 0.225

  public init(isCentered: Bool) { self.isCentered = isCentered }

  func mask(_ size: ImageSize, _ draws: inout MaskDraws) -> HoleMask {
    var mask = HoleMask(size)
    mask.cut(x: place(size.width, &draws), y: place(size.height, &draws))
    return mask
  }

  private func place(_ length: Int, _ draws: inout MaskDraws) -> Range<Int> {
    if isCentered {
      let half = Self.centerShare.squareRoot() / 2 * Float(length)
      let middle = Float(length) / 2
      return Int((middle - half).rounded())..<Int((middle + half).rounded())
    }
    let shares = Self.shares.lowerBound.squareRoot()...Self.shares.upperBound.squareRoot()
    let side = max(1, Int((draws.uniform(shares) * Float(length)).rounded()))
    let start = draws.integer(in: 0...length - side)
    return start..<start + side
  }
}
