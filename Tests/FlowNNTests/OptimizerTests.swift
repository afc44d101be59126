import FlowNN
import FlowTensor
import Foundation
import Testing

/// An arena of several parameters with their moments and average.
private struct Arena {
  let values, gradients, first, second, average: Tensor
  var segments: [Segment]
  let shard: Range<Int>

  /// - Parameter shard: the part whose state is held.
  init(_ ranges: [Range<Int>], shard: Range<Int>) {
    let count = ranges.last!.upperBound
    values = Tensor([count], (0..<count).map { Float(($0 * 37) % 101) / 50 - 1 })
    gradients = Tensor([count], (0..<count).map { Float(($0 * 53) % 89) / 40 - 1 })
    first = Tensor([shard.count], fill: 0)
    second = Tensor([shard.count], fill: 0)
    average = Tensor([shard.count], Array(values.values[shard]))
    segments = ranges.map { Segment(range: $0) }
    self.shard = shard
  }

  mutating func step(_ optimizer: AdamW, averaging: AverageAction = .none, scale: Double = 1) {
    optimizer.update(
      values: values.base, gradients: gradients.base, firstMoment: first.base,
      secondMoment: second.base, average: average.base, segments: &segments, shard: shard,
      learningRate: 0.01, gradientScale: scale, averaging: averaging)
  }
}

/// Compared as one fact: a failed `==` of long arrays would print and align all their elements.
private func equal(_ a: ArraySlice<Float>, _ b: ArraySlice<Float>) -> Bool { a.elementsEqual(b) }

private let ranges = [0..<48, 48..<70_000, 70_016..<140_000, 140_000..<150_001]

@Suite("optimiser", .serialized)
struct OptimizerTests {
  let optimizer = AdamW(AdamW.Configuration(weightDecay: .decoupled(0.1)))

  @Test("shards and threads give the bits of one pass")
  func shards() {
    let edges = [0, 65_536, 131_072, 150_001]
    var whole = Arena(ranges, shard: 0..<150_001)
    var parts = zip(edges, edges.dropFirst()).map { Arena(ranges, shard: $0..<$1) }
    let threads = Threads.count
    defer { Threads.use(threads) }
    for step in 0..<3 {
      Threads.use(1 + step)
      whole.segments[2].hasGradient = step != 1
      whole.step(optimizer, averaging: .blend(decay: 0.9), scale: 0.5)
      for i in parts.indices {
        Threads.use(1 + (step + i) % 3)
        parts[i].segments[2].hasGradient = step != 1
        parts[i].step(optimizer, averaging: .blend(decay: 0.9), scale: 0.5)
        #expect(parts[i].segments == whole.segments)
      }
    }
    for part in parts {
      #expect(equal(part.values.values[part.shard], whole.values.values[part.shard]))
      #expect(equal(part.average.values[...], whole.average.values[part.shard]))
      #expect(equal(part.second.values[...], whole.second.values[part.shard]))
    }
    #expect(whole.segments.map(\.stepCount) == [3, 3, 2, 3])
  }

  @Test("frozen, without gradient, without decay")
  func facts() {
    var arena = Arena(ranges, shard: 0..<150_001)
    var plain = Arena(ranges, shard: 0..<150_001)
    let start = arena.values.values
    arena.segments[0].isFrozen = true
    arena.segments[1].decays = false
    arena.segments[2].hasGradient = false
    arena.step(optimizer, averaging: .blend(decay: 0.5))
    plain.step(AdamW(), averaging: .blend(decay: 0.5))
    let found = arena.values.values
    #expect(equal(found[0..<48], start[0..<48]))
    #expect(equal(found[48..<70_000], plain.values.values[48..<70_000]))
    #expect(equal(found[70_016..<140_000], start[70_016..<140_000]))
    #expect(!equal(found[140_000..<150_001], plain.values.values[140_000..<150_001]))
    #expect(equal(found[70_000..<70_016], start[70_000..<70_016]))  // the gap is nobody's
    #expect(arena.segments.map(\.stepCount) == [0, 1, 0, 1])
    #expect(arena.segments.map(\.hasAverage) == [false, true, false, true])
    // An average begins as a copy taken after the step.
    #expect(equal(arena.average.values[48..<70_000], found[48..<70_000]))
  }

  @Test("the gradient scale is folded in")
  func scale() {
    var scaled = Arena(ranges, shard: 0..<150_001)
    var divided = Arena(ranges, shard: 0..<150_001)
    for i in 0..<150_001 { divided.gradients.base[i] *= 0.25 }
    for _ in 0..<2 {
      scaled.step(optimizer, scale: 0.25)
      divided.step(optimizer)
    }
    #expect(equal(scaled.values.values[...], divided.values.values[...]))
  }

  @Test("sums of squares: exact order, odd sizes, NaN marks its chunk", arguments: [
    0, 1, 15, 65_536, 65_537, 200_003,
  ])
  func squareSums(_ count: Int) {
    let x = Tensor([count], (0..<count).map { Float($0 % 13) - 6 })
    let sums = chunkSquareSums(x.base, count: count)
    #expect(sums.count == (count + 65_535) / 65_536)
    let expected = x.values.reduce(0.0) { $0 + Double($1) * Double($1) }
    #expect(sums.reduce(0, +) == expected)  // small integers: exact
    guard count > 0 else { return }
    for bad in [Float.nan, .infinity] {
      x.base[count - 1] = bad
      let marked = chunkSquareSums(x.base, count: count)
      #expect(marked.map(\.isFinite) == marked.indices.map { $0 < marked.count - 1 })
    }
    x.base[count - 1] = .greatestFiniteMagnitude
    let largest = chunkSquareSums(x.base, count: count)
    #expect(!largest.contains { !$0.isFinite })
  }

  @Test("clip coefficient", arguments: [(0.5, 1.0, 1.0), (4, 1, 0.25), (0, 1, 1)])
  func clip(_ norm: Double, _ maximum: Double, _ expected: Double) {
    #expect(abs(clipCoefficient(norm: norm, maximum: maximum) - expected) < 1e-6)
  }

  @Test("own schedules", arguments: [
    (LearningRateSchedule.linearDecay(warmup: 4, total: 12, floor: 0), [0.25, 1, 1, 0.5, 0, 0]),
    (.cosineDecay(warmup: 4, total: 12, floor: 0.2), [0.25, 1, 1, 0.6, 0.2, 0.2]),
    (.constant, [1, 1, 1, 1, 1, 1]),
  ])
  func schedules(_ schedule: LearningRateSchedule, _ expected: [Double]) {
    let found = [0, 3, 4, 8, 12, 20].map { schedule.rate(step: $0, base: 1) }
    for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-12, "\(found)") }
  }
}
