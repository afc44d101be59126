import FlowTensor
import Foundation
import Testing

@Suite("Attention over long sequences", .serialized)
struct LongAttentionTests {
  @Test("equals the formula, and T×T is never stored", arguments: [1, 2])
  func long(_ heads: Int) {
    let (t, d) = (5000, 8)
    let tensors = (0..<3).map { part in
      Tensor([1, t, d], (0..<t * d).map { Float(sin(Double($0 * 7 + part * 3))) })
    }
    releaseFreeTensorMemory()
    _ = peakTensorMemory(restart: true)
    let before = tensorMemory().held
    let y = attention(query: tensors[0], key: tensors[1], value: tensors[2], heads: heads)
    #expect(peakTensorMemory() - before < t * t * 4 / 16)

    let (q, k, v) = (tensors[0].values, tensors[1].values, tensors[2].values)
    let head = d / heads
    for row in [0, 63, 64, 255, 256, 4999] {
      for h in 0..<heads {
        let scores = (0..<t).map { s in
          exp((0..<head).reduce(0.0) { sum, j in
            sum + Double(q[row * d + h * head + j]) * Double(k[s * d + h * head + j])
          } / Double(head).squareRoot())
        }
        let total = scores.reduce(0, +)
        for j in h * head..<(h + 1) * head {
          let expected = (0..<t).reduce(0.0) { $0 + scores[$1] * Double(v[$1 * d + j]) } / total
          #expect(abs(Double(y.base[row * d + j]) - expected) < 1e-5)
        }
      }
    }
  }
}
