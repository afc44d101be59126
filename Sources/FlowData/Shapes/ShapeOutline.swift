import Foundation

// Rounded from double precision: the last bit of the float functions differs between processors,
// and drawn pixels must not.
func cosine(_ x: Float) -> Float { Float(cos(Double(x))) }
func sine(_ x: Float) -> Float { Float(sin(Double(x))) }

/// A placed outline, in pixels, that knows how far a point is from it.
struct ShapeOutline {
  let center: SIMD2<Float>
  /// Farthest point from the centre.
  let reach: Float
  private let radius: Float
  private let starts: [SIMD2<Float>]
  private let edges: [SIMD2<Float>]
  private let inverseSquares: [Float]

  /// - Parameters:
  ///   - radius: of the circle; the other shapes are scaled with it.
  ///   - rotation: radians, clockwise on the screen.
  init(_ kind: ShapeKind, center: SIMD2<Float>, radius: Float, rotation: Float) {
    let (c, s) = (cosine(rotation), sine(rotation))
    let corners = kind.corners.map { corner in
      center + radius * SIMD2(c * corner.x - s * corner.y, s * corner.x + c * corner.y)
    }
    self.center = center
    self.radius = radius
    reach = radius * kind.reach
    starts = corners
    edges = corners.indices.map { corners[($0 + 1) % corners.count] - corners[$0] }
    inverseSquares = edges.map { 1 / ($0 * $0).sum() }
  }

  /// The share of each pixel of row `y` that lies inside, taken from the signed distance d of its
  /// middle as ½ − d: exact for an outline that crosses the pixel parallel to its sides.
  func coverRow(_ y: Int, _ shares: inout [Float]) {
    let middle = Float(y) + 0.5
    let near = abs(middle - center.y) <= reach + 1
    var x = 0
    while x < shares.count {
      let distance = near ? signedDistance(SIMD2(Float(x) + 0.5, middle)) : .infinity
      let share = max(0, min(1, 0.5 - distance))
      // Distance changes by at most 1 per pixel: as far as it cannot reach ±½ the share stays.
      let run = max(1, Int(min(Float(shares.count), abs(distance) - 0.5)))
      let end = min(shares.count, x + run)
      while x < end {
        shares[x] = share
        x += 1
      }
    }
  }

  /// Negative inside. Polygons: the nearest point over all edges; the sign by counting crossings.
  func signedDistance(_ point: SIMD2<Float>) -> Float {
    guard !starts.isEmpty else {
      let d = point - center
      return (d * d).sum().squareRoot() - radius
    }
    var nearest = Float.infinity
    var inside = false
    for i in starts.indices {
      let (edge, from) = (edges[i], point - starts[i])
      let along = max(0, min(1, (from * edge).sum() * inverseSquares[i]))
      let away = from - along * edge
      nearest = min(nearest, (away * away).sum())
      let below = from.y >= 0
      if below != (from.y >= edge.y) && (edge.x * from.y < edge.y * from.x) == (edge.y > 0) {
        inside.toggle()
      }
    }
    return inside ? -nearest.squareRoot() : nearest.squareRoot()
  }
}
