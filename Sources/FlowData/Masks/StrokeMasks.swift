import Foundation

/// Chains of brush strokes in random directions. Suvorov et al. 2022, «Resolution-robust large mask
/// inpainting with Fourier convolutions» (LaMa), arXiv 2109.07161, section 3.2.
///
/// Lengths are in pixels of a picture of 256 and grow and shrink with the picture's short side, as
/// LaMa's own sets of parameters for 256 and 512 do.
public struct StrokeMasks: Equatable, Sendable {
  public enum Brush: Equatable, Sendable {
    /// Straight strokes with round ends.
    case line
    /// Squares at the ends of the strokes, nothing between them.
    case square
  }

  public var brush = Brush.line
  /// Directions: a stroke goes at 0.01 + k radians, k below this.
  public var maximumAngle = 4
  /// A stroke is 10 to this + 9 long.
  public var maximumLength = 60
  /// A stroke is 5 to this + 4 wide.
  public var maximumWidth = 20
  /// Chains; LaMa draws up to one more than the upper bound.
  public var times = 0...10
  /// Strokes of a chain, at most.
  static let chain = 5

  public init(
    brush: Brush = .line, maximumAngle: Int = 4, maximumLength: Int = 60, maximumWidth: Int = 20,
    times: ClosedRange<Int> = 0...10
  ) {
    (self.brush, self.maximumAngle, self.maximumLength) = (brush, maximumAngle, maximumLength)
    (self.maximumWidth, self.times) = (maximumWidth, times)
  }

  /// LaMa's evaluation: many thin, some medium, few thick strokes.
  public static let thin = StrokeMasks(maximumLength: 40, maximumWidth: 10, times: 4...50)
  public static let medium = StrokeMasks(maximumLength: 100, maximumWidth: 50, times: 4...5)
  public static let thick = StrokeMasks(maximumLength: 200, maximumWidth: 100, times: 1...5)

  func mask(_ size: ImageSize, _ draws: inout MaskDraws) -> HoleMask {
    var mask = HoleMask(size)
    let scale = Float(min(size.width, size.height)) / MaskGenerator.referenceSide
    for i in 0..<draws.integer(in: times.lowerBound...times.upperBound + 1) {
      var start = SIMD2(draws.integer(below: size.width), draws.integer(below: size.height))
      for _ in 0..<1 + draws.integer(below: Self.chain) {
        let turn = 0.01 + Float(draws.integer(below: maximumAngle))
        let angle = i % 2 == 0 ? 2 * .pi - turn : turn
        let length = scale * Float(10 + draws.integer(below: maximumLength))
        let width = max(1, (scale * Float(5 + draws.integer(below: maximumWidth))).rounded())
        let end = SIMD2(
          max(0, min(size.width, Int(Float(start.x) + length * sine(angle)))),
          max(0, min(size.height, Int(Float(start.y) + length * cosine(angle)))))
        switch brush {
        case .line: mask.cutStroke(from: start, to: end, width: width)
        case .square:
          let half = max(1, Int(width) / 2)
          mask.cut(x: start.x - half..<start.x + half, y: start.y - half..<start.y + half)
        }
        start = end
      }
    }
    return mask
  }
}

extension HoleMask {
  /// Pixels whose middle is at most half of `width` from the segment.
  fileprivate mutating func cutStroke(from a: SIMD2<Int>, to b: SIMD2<Int>, width: Float) {
    let reach = width / 2
    let margin = Int(reach.rounded(.up))
    let (start, edge) = (SIMD2<Float>(a), SIMD2<Float>(b &- a))
    let square = (edge * edge).sum()
    let columns = (min(a.x, b.x) - margin..<max(a.x, b.x) + margin + 1).clamped(to: 0..<self.width)
    let rows = (min(a.y, b.y) - margin..<max(a.y, b.y) + margin + 1).clamped(to: 0..<height)
    for y in rows {
      for x in columns {
        let from = SIMD2(Float(x), Float(y)) - start
        let along = square == 0 ? 0 : max(0, min(1, (from * edge).sum() / square))
        let away = from - along * edge
        if (away * away).sum() <= reach * reach { levels[y * self.width + x] = 0 }
      }
    }
  }
}
