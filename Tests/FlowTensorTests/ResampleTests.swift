import FlowTensor
import TestSupport
import Testing

@Suite("Resampling by two", .serialized)
struct ResampleTests {
  /// [1, 2, 4, 2]: two channels, the second 100 above the first.
  private let image = Tensor(
    [1, 2, 4, 2], (0..<8).flatMap { [Float($0), Float($0) + 100] })

  @Test("nearest up-sampling repeats pixels")
  func up() {
    let y = upsampleNearest2(image)
    #expect(y.shape == [1, 4, 8, 2])
    let first = stride(from: 0, to: y.count, by: 2).map { y.values[$0] }
    let top: [Float] = [0, 0, 1, 1, 2, 2, 3, 3]
    #expect(first == top + top + top.map { $0 + 4 } + top.map { $0 + 4 })
    #expect(stride(from: 1, to: y.count, by: 2).map { y.values[$0] - 100 } == first)
  }

  @Test("halving takes means, or upper left pixels")
  func down() {
    #expect(downsampleAverage2(image).values == [2.5, 102.5, 4.5, 104.5])
    #expect(downsampleNearest2(image).values == [0, 100, 2, 102])
    #expect(downsampleAverage2(image).shape == [1, 1, 2, 2])
  }

  @Test("the binomial filter equals its definition, at the border too", arguments: [0, 1])
  func binomialDown(_ padding: Int) {
    let x = Philox(seed: 6, stream: .noise).normal([2, 6, 8, 3])
    let y = downsampleBinomial(x, padding: padding)
    #expect(y.shape == [2, 2 + padding, 3 + padding, 3])
    let expected = filtered(x, padding: padding, to: y.shape)
    #expect(relativeError(y.values, expected) < 1e-6)
  }

  @Test("doubling is four times the transpose of halving: ⟨D x, y⟩ = ⟨x, U y⟩ / 4")
  func binomialUp() {
    let x = Philox(seed: 6, stream: .noise).normal([2, 6, 8, 3])
    let y = Philox(seed: 7, stream: .noise).normal([2, 3, 4, 3])
    let up = upsampleBinomial(y)
    #expect(up.shape == x.shape)
    let halved = downsampleBinomial(x, padding: 1)
    let left = zip(halved.values, y.values).reduce(0.0) { $0 + Double($1.0 * $1.1) }
    let right = zip(x.values, up.values).reduce(0.0) { $0 + Double($1.0 * $1.1) } / 4
    #expect(abs(left - right) < 1e-5 * abs(right))
    // Far from the border constants stay what they are.
    let constant = upsampleBinomial(Tensor([1, 4, 4, 1], fill: 3))
    #expect(constant.values[8 * 3 + 4] == 3)
  }

  @Test("gradients equal central differences, once and added up", arguments: 0..<6)
  func gradients(_ index: Int) {
    let operation = [
      upsampleNearest2, downsampleAverage2, downsampleNearest2, upsampleBinomial,
      { downsampleBinomial($0, padding: 0) }, { downsampleBinomial($0, padding: 1) },
    ][index]
    let x = Philox(seed: 5, stream: .noise).normal([2, 4, 6, 3])
    for f in [{ operation($0[0]) }, { operation($0[0]) + operation($0[0]) }]
      as [([Tensor]) -> Tensor]
    {
      for comparison in compareGradients([x], f) {
        #expect(comparison.error < 2e-4, "\(comparison)")
      }
    }
  }
}

/// Every second pixel behind [1, 3, 3, 1] / 8, from the definition in Double.
private func filtered(_ x: Tensor, padding: Int, to shape: Shape) -> [Float] {
  let (taps, s) = ([1.0, 3, 3, 1], x.shape)
  return (0..<shape.count).map { index in
    let (pixel, c) = (index / s[3], index % s[3])
    let (j, row) = (pixel % shape[2], pixel / shape[2])
    let (i, b) = (row % shape[1], row / shape[1])
    var sum = 0.0
    for u in 0..<4 {
      for v in 0..<4 {
        let (p, q) = (2 * i + u - padding, 2 * j + v - padding)
        guard (0..<s[1]).contains(p), (0..<s[2]).contains(q) else { continue }
        sum += taps[u] * taps[v] / 64 * Double(x.base[((b * s[1] + p) * s[2] + q) * s[3] + c])
      }
    }
    return Float(sum)
  }
}
