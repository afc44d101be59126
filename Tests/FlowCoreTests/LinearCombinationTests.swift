import FlowTensor
import Testing

@Suite("linear combinations", .serialized)
struct LinearCombinationTests {
  /// Sizes around the kernels' blocks and chunks; each group has its own coefficients.
  @Test("against a plain loop", arguments: [(1, 1), (2, 513), (3, 700), (1, 40_001), (4, 16_384)])
  func combination(_ groups: Int, _ size: Int) {
    let terms = (0..<3).map { k in
      Tensor([groups, size], (0..<groups * size).map { Float(($0 * (k + 3)) % 17) - 8 })
    }
    let base = Tensor([groups, size], (0..<groups * size).map { Float($0 % 5) })
    let coefficients = (0..<groups * 3).map { Float($0 % 4) - 1 }  // zeros among them
    let out = Tensor(uninitialized: base.shape)
    linearCombination(base, terms, coefficients: coefficients, into: out)
    let expected = (0..<groups * size).map { i in
      base.values[i]
        + (0..<3).reduce(Float(0)) { $0 + coefficients[i / size * 3 + $1] * terms[$1].base[i] }
    }
    #expect(out.values.elementsEqual(expected))  // small integers: exact
    linearCombination(base, terms, coefficients: coefficients, into: base)
    #expect(base.values.elementsEqual(expected))
  }

  @Test("a term with coefficient 0 is not read")
  func zeroCoefficient() {
    let poison = Tensor([4], fill: .nan)
    let out = linearCombination([poison, Tensor([4], fill: 2)], coefficients: [0, 3])
    #expect(out.values == [6, 6, 6, 6])
    linearCombination(out, [poison], coefficients: [0], into: out)
    #expect(out.values == [6, 6, 6, 6])
  }

  @Test("scaled norm per group, for any number of threads")
  func norm() {
    let size = 50_000
    let e = Tensor([2, size], (0..<2 * size).map { Float($0 % 7) * ($0 < size ? 1 : 10) })
    let a = Tensor([2, size], (0..<2 * size).map { $0 % 2 == 0 ? -3 : 1 })
    let b = Tensor([2, size], fill: 2)
    func norms() -> [Double] {
      scaledRootMeanSquare(
        of: [e, e], coefficients: [2, -1, 2, -1], a: a, b: b, absolute: 0.5, relative: 0.25)
    }
    let expected = (0..<2).map { g in
      let squares = (0..<size).map { j -> Double in
        let tolerance = 0.5 + 0.25 * Double(max(abs(a.base[g * size + j]), 2))
        let ratio = Double(e.base[g * size + j]) / tolerance
        return ratio * ratio
      }
      return (squares.reduce(0, +) / Double(size)).squareRoot()
    }
    let found = norms()
    for (x, y) in zip(found, expected) { #expect(abs(x / y - 1) < 1e-6) }
    let before = Threads.count
    defer { Threads.use(before) }
    for count in [1, 2, 3] {
      Threads.use(count)
      #expect(norms() == found)
    }
  }
}
