/// The ground of a picture: per channel a plane, level = a + b·u + c·v with u, v in [-1, 1].
struct GroundPlane {
  private var constant = SIMD3<Float>(repeating: 0)
  private var slopeX = SIMD3<Float>(repeating: 0)
  private var slopeY = SIMD3<Float>(repeating: 0)
  private let scale: SIMD2<Float>

  /// Fitted to a frame of two pixels by least squares, twice: the second time without the pixels
  /// that the first fit misses by more than 2.5 times the mean (a shape that touches the border).
  /// nil if the frame is not near a plane.
  init?(_ picture: ImageBuffer) {
    let (width, height) = (picture.width, picture.height)
    scale = SIMD2(2 / Float(width), 2 / Float(height))
    var frame: [(x: Int, y: Int)] = []
    for y in 0..<height {
      for x in 0..<width where min(x, y, width - 1 - x, height - 1 - y) < 2 { frame.append((x, y)) }
    }
    fit(picture, frame)
    let misses = frame.map { distance(picture[$0.x, $0.y], x: $0.x, y: $0.y) }
    let mean = misses.reduce(0, +) / Float(frame.count)
    let kept = frame.indices.filter { misses[$0] <= max(4, 2.5 * mean) }.map { frame[$0] }
    guard kept.count * 2 > frame.count, mean < 60 else { return nil }
    fit(picture, kept)
  }

  /// The ground's levels, 0...255, at the middle of a pixel.
  @inline(__always)
  func color(x: Int, y: Int) -> SIMD3<Float> {
    constant + (Float(x) + 0.5) * scale.x * slopeX - slopeX
      + (Float(y) + 0.5) * scale.y * slopeY - slopeY
  }

  /// How far a pixel's colour is from the ground, in levels, root mean square over the channels.
  @inline(__always)
  func distance(_ pixel: SIMD3<UInt8>, x: Int, y: Int) -> Float {
    let d = SIMD3<Float>(pixel) - color(x: x, y: y)
    return ((d * d).sum() / 3).squareRoot()
  }

  /// Normal equations of three unknowns, solved by Cramer's rule; the same matrix for each channel.
  private mutating func fit(_ picture: ImageBuffer, _ places: [(x: Int, y: Int)]) {
    var (n, su, sv, suu, svv, suv) = (Float(0), Float(0), Float(0), Float(0), Float(0), Float(0))
    var (sp, sup, svp) = (SIMD3<Float>.zero, SIMD3<Float>.zero, SIMD3<Float>.zero)
    for (x, y) in places {
      let u = (Float(x) + 0.5) * scale.x - 1
      let v = (Float(y) + 0.5) * scale.y - 1
      let p = SIMD3<Float>(picture[x, y])
      (n, su, sv) = (n + 1, su + u, sv + v)
      (suu, svv, suv) = (suu + u * u, svv + v * v, suv + u * v)
      (sp, sup, svp) = (sp + p, sup + u * p, svp + v * p)
    }
    let (m0, m1, m2) = (suu * svv - suv * suv, su * svv - sv * suv, su * suv - sv * suu)
    let determinant = n * m0 - su * m1 + sv * m2
    constant = (m0 * sp - m1 * sup + m2 * svp) / determinant
    slopeX = ((n * svv - sv * sv) * sup - m1 * sp - (n * suv - su * sv) * svp) / determinant
    slopeY = (m2 * sp - (n * suv - su * sv) * sup + (n * suu - su * su) * svp) / determinant
  }
}
