import Foundation

/// The four outlines as radius over angle around the centroid, for area 1: all four are star-shaped
/// about it, so a point is inside where its radius is below the outline's.
struct ShapeTemplates: Sendable {
  private static let angles = 720
  /// Degrees: the set turns its shapes by up to 12; beyond 16 a match is not looked for.
  private static let coarseTurns = [-16, -8, 0, 8, 16]
  private static let fineTurns = [-4, -2, 2, 4]

  /// [shape][angle]
  private let radii: [[Float]]

  init() {
    radii = ShapeKind.allCases.map { kind in
      let raw = (0..<Self.angles).map { i in
        Self.radius(kind, angle: 2 * .pi * (Float(i) + 0.5) / Float(Self.angles))
      }
      let area = raw.reduce(0) { $0 + $1 * $1 } * .pi / Float(Self.angles)
      return raw.map { $0 / area.squareRoot() }
    }
  }

  /// Where the ray at `angle` leaves the outline of radius 1.
  private static func radius(_ kind: ShapeKind, angle: Float) -> Float {
    let corners = kind.corners
    guard !corners.isEmpty else { return 1 }
    let ray = SIMD2(cosine(angle), sine(angle))
    var farthest: Float = 0
    for i in corners.indices {
      let (a, b) = (corners[i], corners[(i + 1) % corners.count])
      let edge = b - a
      // a + s·edge = t·ray
      let determinant = edge.x * ray.y - edge.y * ray.x
      if abs(determinant) < 1e-9 { continue }
      let s = (a.y * ray.x - a.x * ray.y) / determinant
      let t = (edge.x * a.y - edge.y * a.x) / determinant
      if s >= -1e-5 && s <= 1 + 1e-5 && t > 0 { farthest = max(farthest, abs(t)) }
    }
    return farthest
  }

  /// Best intersection over union of the patch with each shape over the rotations; a pixel counts
  /// with the share of it that is covered.
  func overlaps(with patch: JudgedPatch) -> [Float] {
    let side = patch.mass.squareRoot()
    var points: [Point] = []
    for i in patch.shares.indices {
      let d = SIMD2(Float(i % patch.width) + 0.5, Float(i / patch.width) + 0.5) - patch.center
      let radius = (d * d).sum().squareRoot()
      // No outline of area 1 reaches beyond 0.9.
      guard patch.shares[i] > 0 || radius < side + 2 else { continue }
      let turn = (atan2(d.y, d.x) / (2 * .pi) + 1) * Float(Self.angles)
      points.append(Point(radius: radius, angle: Int(turn) % Self.angles, share: patch.shares[i]))
    }
    return radii.map { outline in
      var best: (overlap: Float, turn: Int) = (0, 0)
      for turn in Self.coarseTurns {
        let overlap = overlap(points, outline, side: side, degrees: turn)
        if overlap > best.overlap { best = (overlap, turn) }
      }
      let around = Self.fineTurns.map { best.turn + $0 }.filter { abs($0) <= 16 }
      return around.reduce(best.overlap) {
        max($0, overlap(points, outline, side: side, degrees: $1))
      }
    }
  }

  private struct Point {
    var radius: Float
    var angle: Int
    var share: Float
  }

  private func overlap(
    _ points: [Point], _ outline: [Float], side: Float, degrees: Int
  ) -> Float {
    let turn = (Self.angles - degrees * Self.angles / 360) % Self.angles
    var (both, either) = (Float(0), Float(0))
    points.withUnsafeBufferPointer { points in
      outline.withUnsafeBufferPointer { outline in
        for point in points {
          var angle = point.angle + turn
          if angle >= Self.angles { angle -= Self.angles }
          let share = max(0, min(1, 0.5 + side * outline[angle] - point.radius))
          both += min(share, point.share)
          either += max(share, point.share)
        }
      }
    }
    return both / max(1, either)
  }
}
