import FlowTensor
import Foundation
import TestSupport
import Testing

@Suite("Linear attention", .serialized)
struct LinearAttentionTests {
  /// More positions than one run of sums, more features than one tile, and neither.
  static let shapes: [[Int]] = [[2, 5, 12], [1, 70, 9], [3, 33, 3 * 70], [1, 1, 6]]

  @Test("equals its definition", arguments: shapes)
  func definition(_ dims: [Int]) {
    let qkv = Philox(seed: 6, stream: .noise).normal(Shape(dims))
    let (n, t, d) = (dims[0], dims[1], dims[2] / 3)
    // Far from zero: softmax has to take the largest value out.
    for i in 0..<qkv.count { qkv.base[i] = 4 * qkv.base[i] + 60 }
    let y = linearSelfAttention(qkv: qkv)
    #expect(y.shape == [n, t, d])
    #expect(relativeError(y.values, attended(qkv.values.map(Double.init), n, t, d)) < 1e-5)
  }

  private func attended(_ x: [Double], _ n: Int, _ t: Int, _ d: Int) -> [Float] {
    var y: [Float] = []
    for head in 0..<n {
      func at(_ i: Int, _ part: Int, _ j: Int) -> Double { x[((head * t + i) * 3 + part) * d + j] }
      let q = (0..<t).map { i in softmax((0..<d).map { at(i, 0, $0) }) }
      let k = (0..<d).map { j in softmax((0..<t).map { at($0, 1, j) }) }
      for i in 0..<t {
        for e in 0..<d {
          let sum = (0..<d).reduce(0.0) { sum, j in
            sum + q[i][j] * (0..<t).reduce(0.0) { $0 + k[j][$1] * at($1, 2, e) }
          }
          y.append(Float(sum / Double(d).squareRoot()))
        }
      }
    }
    return y
  }

  private func softmax(_ x: [Double]) -> [Double] {
    let top = x.max()!
    let exponentials = x.map { exp($0 - top) }
    let sum = exponentials.reduce(0, +)
    return exponentials.map { $0 / sum }
  }

  @Test("transposing twice changes nothing; once, the axes", arguments: [[1, 1], [3, 40], [33, 17]])
  func transposition(_ dims: [Int]) {
    let (m, n) = (dims[0], dims[1])
    let x = Tensor([2, m, n], (0..<2 * m * n).map(Float.init))
    let y = transposed(x)
    #expect(y.shape == [2, n, m])
    let wrong = (0..<2 * m * n).count {
      let (b, i, j) = ($0 / (m * n), $0 / m % n, $0 % m)
      return y.base[$0] != x.base[b * m * n + j * n + i]
    }
    #expect(wrong == 0)
    #expect(transposed(y).values == x.values)
  }
}
