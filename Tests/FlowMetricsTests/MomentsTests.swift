import FlowMetrics
import FlowTensor
import Testing

@Suite("Moments of features", .serialized)
struct MomentsTests {
  /// Three blocks, the last one short; the first feature lies far from 0.
  private let features: Tensor = {
    let x = Philox(seed: 3, stream: .noise).normal([2_500, 5])
    for i in 0..<2_500 { x.base[i * 5] = 10_000 + Float(i % 7) }
    return x
  }()

  private func moments(portions: [Int]) -> FeatureMoments {
    var stream = MomentStream(dimension: 5)
    var first = 0
    for count in portions {
      stream.append(features.base + first * 5, count: count)
      first += count
    }
    return stream.moments()
  }

  @Test("equal those of two passes in Double, far from the origin, too")
  func values() {
    let found = moments(portions: [2_500])
    let rows = (0..<2_500).map { i in (0..<5).map { Double(features.base[i * 5 + $0]) } }
    #expect(found.count == 2_500)
    for a in 0..<5 {
      let mean = rows.reduce(0.0) { $0 + $1[a] } / 2_500
      #expect(abs(found.mean[a] - mean) < 1e-13 * max(1, abs(mean)))
      for b in 0..<5 {
        let other = rows.reduce(0.0) { $0 + $1[b] } / 2_500
        let expected = rows.reduce(0.0) { $0 + ($1[a] - mean) * ($1[b] - other) } / 2_499
        #expect(abs(found.covariance[a * 5 + b] - expected) < 1e-11, "\(a), \(b)")
      }
    }
  }

  @Test("do not depend on the portions", arguments: [
    [1_024, 1_024, 452], [1, 1_023, 1_025, 451], [7, 2_000, 493], [2_048, 452],
  ])
  func portions(_ portions: [Int]) {
    let same = moments(portions: portions) == moments(portions: [2_500])
    #expect(same)
  }

  @Test("do not depend on who summed a block")
  func ranks() {
    let blocks = MomentStream.blocks(of: 2_500)
    #expect(blocks == [0..<1_024, 1_024..<2_048, 2_048..<2_500])
    // As ranks would send them: the odd block from elsewhere.
    let sent = blocks.map { rows in
      SampleMoments(features.base + rows.lowerBound * 5, count: rows.count, dimension: 5)
        .flattened
    }
    #expect(sent[0].count == 1 + 5 + 15)
    var stream = MomentStream(dimension: 5)
    for block in sent { stream.append(block: SampleMoments(flattened: block, dimension: 5)) }
    let same = stream.moments() == moments(portions: [2_500])
    #expect(same)
  }

  @Test("two vectors have the covariance of their difference")
  func smallest() {
    let found = FeatureMoments([[1, 2], [3, -2]])
    #expect(found == FeatureMoments(count: 2, mean: [2, 0], covariance: [2, -4, -4, 8]))
  }
}
