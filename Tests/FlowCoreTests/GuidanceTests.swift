import FlowCore
import FlowTensor
import Testing

/// u(x, t | y) = x + y + t·100, so that what was asked can be read off the answer; counts calls.
private final class LabelField: VelocityField {
  var batches: [Int] = []

  func callAsFunction(_ x: Tensor, t: Tensor, condition: Condition) -> Tensor {
    batches.append(x.shape[0])
    let width = x.count / x.shape[0]
    return Tensor(
      x.shape,
      x.values.enumerated().map { i, value in
        let sample = i / width
        let context = condition.context.map { $0.values[sample] } ?? 0
        return value + Float(condition.labels![sample]) + 100 * t.values[sample] + 1000 * context
      })
  }
}

@Suite("classifier-free guidance", .serialized)
struct GuidanceTests {
  let x = Tensor([2, 2], [1, 2, 3, 4])
  let context = Tensor([2, 1], [5, 6])

  /// u + s·(c − u) with c = base + label and u = base + 9.
  @Test("mixes both halves", arguments: [Float(0), 0.5, 2, 7])
  func mixes(_ scale: Float) {
    let field = LabelField()
    let guided = GuidedField(field, scale: scale, nullLabel: 9)
    let found = guided(
      x, t: Tensor([2], [0.5, 0.25]), condition: Condition(labels: [1, 2], context: context))
    let expected: [Float] = [(0, 1), (0, 1), (1, 2), (1, 2)].enumerated().map { i, sample in
      let base = x.values[i] + [50, 25][sample.0] + [5000, 6000][sample.0]
      return base + 9 + scale * (Float(sample.1) - 9)
    }
    for (a, b) in zip(found.values, expected) { #expect(abs(a - b) < 2e-2) }
    #expect(field.batches == [4])
  }

  @Test("scale 1 does not double the batch, and neither do times outside the interval")
  func bypasses() {
    let condition = Condition(labels: [1, 2])
    let plain = LabelField()
    let t = Tensor([2], [0.5, 0.25])
    let expected = plain(x, t: t, condition: condition).values
    for (scale, interval, batches) in [
      (Float(1), Float(0)...1, [2]), (3, 0.6...0.9, [2]), (3, 0.4...0.6, [4]),
    ] {
      let field = LabelField()
      let found = GuidedField(field, scale: scale, nullLabel: 9, interval: interval)(
        x, t: t, condition: condition
      ).values
      #expect(field.batches == batches)
      #expect(Array(found[2...]) == Array(expected[2...]))
      #expect((Array(found[..<2]) == Array(expected[..<2])) == (batches == [2]))
    }
  }
}
