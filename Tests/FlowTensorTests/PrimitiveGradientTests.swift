import Foundation
import FlowTensor
import TestSupport
import Testing

/// One row per primitive: the tape against central differences.
struct GradientRow: CustomTestStringConvertible, Sendable {
  let name: String
  let shapes: [Shape]
  var step: Float = 1e-2
  var tolerance = 2e-3
  let f: @Sendable ([Tensor]) -> Tensor
  var testDescription: String { name }

  var inputs: [Tensor] {
    shapes.enumerated().map { Philox(seed: 11, stream: .noise, index: $0.offset).normal($0.element) }
  }
}

private let rows: [GradientRow] = [
  GradientRow(name: "linear", shapes: [[3, 5, 7], [4, 7], [4]]) {
    linear($0[0], weight: $0[1], bias: $0[2])
  },
  GradientRow(name: "linear without bias", shapes: [[6, 7], [4, 7]]) {
    linear($0[0], weight: $0[1], bias: nil)
  },
  GradientRow(name: "linear, SiLU", shapes: [[3, 5, 7], [18, 7], [18]]) {
    linear($0[0], weight: $0[1], bias: $0[2], activation: .silu)
  },
  GradientRow(name: "linear, GELU", shapes: [[3, 5, 7], [18, 7], [18]]) {
    linear($0[0], weight: $0[1], bias: $0[2], activation: .geluTanh)
  },
  GradientRow(name: "SiLU", shapes: [[5, 17]]) { silu($0[0]) },
  GradientRow(name: "GELU", shapes: [[5, 17]]) { geluTanh($0[0]) },
  GradientRow(name: "add, used twice", shapes: [[4, 6], [4, 6]]) { ($0[0] + $0[1]) + $0[0] },
  GradientRow(name: "subtract and scale", shapes: [[4, 6], [4, 6]]) { 0.7 * $0[0] - $0[1] },
  GradientRow(name: "split", shapes: [[3, 12]]) {
    let m = $0[0].split(into: 3)
    return silu(m[0]) + 2 * m[2]
  },
  GradientRow(name: "constant rows", shapes: [[2, 3, 4]]) {
    silu($0[0].adding(constantRows: Tensor([3, 4], (0..<12).map { Float($0) / 6 })))
  },
  GradientRow(name: "concatenate", shapes: [[2, 3, 4], [2, 3, 2]]) {
    silu(concatenate($0[0], $0[1]))
  },
  GradientRow(name: "concatenate with itself", shapes: [[2, 3, 4]]) {
    silu(concatenate($0[0], $0[0]))
  },
  GradientRow(name: "add a vector per sample", shapes: [[2, 3, 4, 5], [2, 5]]) {
    silu($0[0].adding(perSample: $0[1]) + $0[0].adding(perSample: $0[1]))
  },
  GradientRow(name: "layer norm, modulated", shapes: [[2, 5, 9], [2, 9], [2, 9]]) {
    layerNorm($0[0], shift: $0[1], scale: $0[2])
  },
  GradientRow(name: "gated residual", shapes: [[2, 5, 9], [2, 9], [2, 5, 9]]) {
    gatedResidual($0[0], gate: $0[1], $0[2])
  },
  GradientRow(name: "gated residual of itself", shapes: [[2, 5, 9], [2, 9]]) {
    gatedResidual($0[0], gate: $0[1], silu($0[0]))
  },
  GradientRow(name: "attention", shapes: [[2, 5, 8], [2, 7, 8], [2, 7, 8]]) {
    attention(query: $0[0], key: $0[1], value: $0[2], heads: 2)
  },
  GradientRow(name: "self-attention", shapes: [[2, 6, 24]]) { selfAttention(qkv: $0[0], heads: 2) },
  GradientRow(name: "self-attention, one head", shapes: [[1, 5, 12]]) {
    selfAttention(qkv: $0[0], heads: 1)
  },
  GradientRow(name: "linear attention", shapes: [[3, 5, 12]]) { linearSelfAttention(qkv: $0[0]) },
  GradientRow(name: "linear attention, used twice", shapes: [[1, 3, 6]]) {
    linearSelfAttention(qkv: $0[0]) + linearSelfAttention(qkv: $0[0])
  },
  GradientRow(name: "transposed", shapes: [[2, 19, 17]]) { silu(transposed($0[0])) },
  GradientRow(name: "transposed, used twice", shapes: [[2, 3, 5]]) {
    silu(transposed($0[0])) + transposed($0[0])
  },
  GradientRow(name: "rows per sample", shapes: [[2, 5, 9], [2, 9]]) {
    silu($0[0].adding(perSample: $0[1]))
  },
  GradientRow(name: "rows per sample of a constant", shapes: [[2, 9]]) {
    silu(Tensor([2, 5, 9], fill: 0.5).adding(perSample: $0[0]))
  },
  GradientRow(name: "embedding", shapes: [[5, 6], [4, 6]]) {
    silu(embedding($0[0], [1, 4, 1, 0], riding: $0[1]) + $0[1])
  },
  GradientRow(name: "embedding with rows of zeros", shapes: [[5, 40], [4, 40]]) {
    silu(embedding($0[0], [nil, 4, 4, nil], riding: $0[1]) + $0[1])
  },
  GradientRow(name: "patchify", shapes: [[2, 4, 6, 3]]) { silu(patchify($0[0], patch: 2)) },
  GradientRow(name: "unpatchify", shapes: [[2, 6, 12]]) {
    silu(unpatchify($0[0], patch: 2, height: 4, width: 6))
  },
  GradientRow(name: "mean squared error", shapes: [[5, 7]]) {
    meanSquaredError($0[0], Tensor([5, 7], (0..<35).map { Float($0) / 20 }))
  },
  GradientRow(name: "self-attention, heads first", shapes: [[2, 6, 24]]) {
    selfAttention(qkv: $0[0], heads: 2, order: .headsFirst)
  },
  GradientRow(name: "layer norm, learned", shapes: [[2, 5, 9], [9], [9]]) {
    layerNorm($0[0], weight: $0[1], bias: $0[2])
  },
  GradientRow(name: "gated GELU", shapes: [[2, 5, 18]]) { geglu($0[0]) },
  GradientRow(name: "gated GELU, used twice", shapes: [[3, 40]]) { geglu($0[0]) + geglu($0[0]) },
]

@Suite("Gradients of the primitives", .serialized)
struct PrimitiveGradientTests {
  @Test("agree with central differences", arguments: rows)
  func centralDifferences(_ row: GradientRow) {
    for comparison in compareGradients(row.inputs, step: row.step, row.f) {
      #expect(comparison.error < row.tolerance, "\(row.name), \(comparison)")
    }
  }

  @Test("do not depend on the block of queries whose scores exist at once")
  func attentionOverManyBlocks() {
    // 600 keys make blocks of 436 queries: two of them, the second one partial.
    let qkv = Philox(seed: 3, stream: .noise).normal([1, 600, 12])
    let tape = Tape()
    let x = tape.ride(qkv)
    let y = selfAttention(qkv: x, heads: 1)
    let r = Philox(seed: 4, stream: .noise).normal(y.shape)
    tape.backward(from: projected(y, on: r))
    let (expected, gradient) = plainAttention(qkv, gradientOf: r)
    #expect(relativeError(y.values, expected) < 2e-6)
    #expect(relativeError(x.gradient!.values!, gradient) < 5e-6)
  }
}

/// Self-attention of one head and its gradient from the definition, in Double.
private func plainAttention(_ qkv: Tensor, gradientOf r: Tensor) -> ([Float], [Float]) {
  let (t, d) = (qkv.shape[1], qkv.shape[2] / 3)
  func at(_ token: Int, _ part: Int, _ i: Int) -> Double {
    Double(qkv.base[token * 3 * d + part * d + i])
  }
  var y = [Float](repeating: 0, count: t * d)
  var gradient = [Double](repeating: 0, count: t * 3 * d)
  let scale = 1 / Double(d).squareRoot()
  for i in 0..<t {
    let scores = (0..<t).map { j in (0..<d).reduce(0.0) { $0 + at(i, 0, $1) * at(j, 1, $1) } * scale }
    let top = scores.max()!
    let exponentials = scores.map { exp($0 - top) }
    let sum = exponentials.reduce(0, +)
    let p = exponentials.map { $0 / sum }
    for c in 0..<d { y[i * d + c] = Float((0..<t).reduce(0.0) { $0 + p[$1] * at($1, 2, c) }) }
    let dp = (0..<t).map { j in
      (0..<d).reduce(0.0) { $0 + Double(r.base[i * d + $1]) * at(j, 2, $1) }
    }
    let mean = zip(p, dp).reduce(0.0) { $0 + $1.0 * $1.1 }
    for j in 0..<t {
      let ds = p[j] * (dp[j] - mean) * scale
      for c in 0..<d {
        gradient[i * 3 * d + c] += ds * at(j, 1, c)
        gradient[j * 3 * d + d + c] += ds * at(i, 0, c)
        gradient[j * 3 * d + 2 * d + c] += p[j] * Double(r.base[i * d + c])
      }
    }
  }
  return (y, gradient.map { Float($0) })
}
