import FlowCore
import FlowTensor
import Foundation
import Testing

@Suite("spherical interpolation", .serialized)
struct SphericalInterpolationTests {
  @Test("begins and ends at its ends, keeps the length, turns evenly")
  func arc() {
    let n = 64
    var (a, b) = (
      Philox(seed: 1, stream: .noise, index: 0).normal([4, 16]),
      Philox(seed: 1, stream: .noise, index: 1).normal([4, 16])
    )
    // Of one length, so that the whole arc is.
    let length = { (x: Tensor) in x.values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() }
    (a, b) = ((Float(8 / length(a))) * a, (Float(8 / length(b))) * b)
    let weights = [0, 0.25, 0.5, 0.75, 1]
    let found = sphericalInterpolation(a, b, weights: weights)
    #expect(found.shape == [5, 4, 16])
    let rows = (0..<5).map { Array(found.values[$0 * n..<($0 + 1) * n]) }
    for (row, end) in [(rows[0], a.values), (rows[4], b.values)] {
      #expect(zip(row, end).allSatisfy { abs($0 - $1) < 1e-6 })
    }
    func product(_ x: [Float], _ y: [Float]) -> Double {
      zip(x, y).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
    for row in rows { #expect(abs(product(row, row).squareRoot() - 8) < 1e-5) }
    let angles = zip(rows, rows.dropFirst()).map { acos(product($0, $1) / 64) }
    #expect(angles[0] > 0.2)
    for angle in angles { #expect(abs(angle - angles[0]) < 1e-5) }
  }

  @Test("goes straight between vectors of one direction")
  func parallel() {
    let found = sphericalInterpolation(
      Tensor([2], [1, 2]), Tensor([2], [3, 6]), weights: [0, 0.5, 1])
    #expect(zip(found.values, [1, 2, 2, 4, 3, 6]).allSatisfy { abs($0 - $1) < 1e-6 })
  }
}
