import FlowTensor
import Foundation
import TestSupport
import Testing

/// What the gradient rows cannot tell: forward values, and sums over more than one chunk of rows.
@Suite("Primitives of a transformer block", .serialized)
struct TransformerPrimitiveTests {
  @Test("gated GELU equals its definition, tails included")
  func gatedGELU() {
    let gates = (-600...600).map { Float($0) / 60 } + [-40, 40]
    let values = gates.indices.map { Float($0 % 7) - 2.5 }
    let found = geglu(Tensor([1, 2 * gates.count], values + gates)).values
    for (i, g) in gates.enumerated() where g >= -10 {
      let expected = Double(values[i]) * Double(g) * 0.5 * erfc(-Double(g) / 2.0.squareRoot())
      #expect(abs(Double(found[i]) - expected) <= 2e-6 * abs(expected), "gate \(g)")
    }
    #expect(found[gates.count - 2] == 0)
    #expect(found[gates.count - 1] == 40 * values[gates.count - 1])
  }

  @Test("learned layer norm and its gradients equal the definition over many chunks of rows")
  func layerNormOverChunks() {
    // 1,200 rows of 48: chunks of 682 rows, the second one partial.
    let (rows, d) = (1200, 48)
    let x = Philox(seed: 5, stream: .noise).normal([2, rows / 2, d])
    for i in 0..<x.count { x.base[i] = 3 * x.base[i] + 50 }
    let (weight, bias) = (Philox(seed: 6, stream: .noise).normal([d]), Tensor([d], fill: 0.5))
    let r = Philox(seed: 7, stream: .noise).normal(x.shape)
    let tape = Tape()
    let riding = [x, weight, bias].map { tape.ride($0) }
    let y = layerNorm(riding[0], weight: riding[1], bias: riding[2])
    tape.backward(from: projected(y, on: r))

    var (expected, dx) = ([Float](), [Float]())
    var (dw, db) = ([Double](repeating: 0, count: d), [Double](repeating: 0, count: d))
    for row in 0..<rows {
      let values = (0..<d).map { Double(x.base[row * d + $0]) }
      let mean = values.reduce(0, +) / Double(d)
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(d)
      let rstd = 1 / (variance + 1e-5).squareRoot()
      let n = values.map { ($0 - mean) * rstd }
      let dy = (0..<d).map { Double(r.base[row * d + $0]) }
      let g = (0..<d).map { dy[$0] * Double(weight.base[$0]) }
      let (sum, product) = (g.reduce(0, +), zip(g, n).reduce(0) { $0 + $1.0 * $1.1 })
      for j in 0..<d {
        expected.append(Float(n[j] * Double(weight.base[j]) + 0.5))
        dx.append(Float(rstd * (g[j] - sum / Double(d) - n[j] * product / Double(d))))
        dw[j] += dy[j] * n[j]
        db[j] += dy[j]
      }
    }
    #expect(relativeError(y.values, expected) < 1e-5)
    #expect(relativeError(riding[0].gradient!.values!, dx) < 1e-5)
    #expect(relativeError(riding[1].gradient!.values!, dw.map { Float($0) }) < 1e-5)
    #expect(relativeError(riding[2].gradient!.values!, db.map { Float($0) }) < 1e-5)
  }

  @Test("both orders of a projection are the same attention")
  func orders() {
    let (heads, d) = (3, 4)
    let parts = Philox(seed: 8, stream: .noise).normal([2, 5, 3 * heads * d])
    let byHead = Tensor(uninitialized: parts.shape)
    for token in 0..<10 {
      for part in 0..<3 {
        for head in 0..<heads {
          for i in 0..<d {
            byHead.base[token * 36 + (head * 3 + part) * d + i] =
              parts.base[token * 36 + (part * heads + head) * d + i]
          }
        }
      }
    }
    let expected = selfAttention(qkv: parts, heads: heads).values
    #expect(selfAttention(qkv: byHead, heads: heads, order: .headsFirst).values == expected)
    #expect(selfAttention(qkv: parts, heads: heads, order: .headsFirst).values != expected)
  }
}
