import FlowMetrics
import FlowTensor
import Foundation
import Testing

/// Expected values without a derivation come from numpy and scipy on the same features.
@Suite("Metrics on features", .serialized)
struct FeatureMetricsTests {
  @Test("Inception Score: 1 where all images are alike, the number of classes where each is sure")
  func inceptionScore() {
    let alike = Tensor([12, 4], [Float](repeating: 0.25, count: 48))
    let same = InceptionScore(probabilities: alike, splits: 3)
    #expect(abs(same.mean - 1) < 1e-12 && same.deviation < 1e-12)

    let sure = Tensor([12, 4], (0..<48).map { $0 % 4 == $0 / 4 % 4 ? 1 : 0 })
    let score = InceptionScore(probabilities: sure, splits: 3)
    #expect(abs(score.mean - 4) < 1e-12 && score.deviation < 1e-12)
    let logits = Tensor([12, 4], sure.values.map { 200 * $0 - 90 })
    #expect(abs(InceptionScore(logits: logits, splits: 3).mean - 4) < 1e-12)
  }

  @Test("kernel distance")
  func kernelDistance() {
    let (x, y) = (formulaFeatures(40), formulaFeatures(40, a: 2, b: 3))
    // A subset that holds everything is no draw.
    let whole = KernelDistance(real: x, fake: y, subsets: 2, subsetSize: 40)
    #expect(relative(whole.mean, -0.012135755594059106) < 1e-12)
    #expect(whole.deviation < 1e-15)

    let drawn = KernelDistance(real: x, fake: y, subsets: 64, subsetSize: 12, seed: 5)
    #expect(drawn == KernelDistance(real: x, fake: y, subsets: 64, subsetSize: 12, seed: 5))
    #expect(drawn != KernelDistance(real: x, fake: y, subsets: 64, subsetSize: 12, seed: 6))
    #expect(drawn.standardError == drawn.deviation / 8)
    #expect(abs(drawn.mean - whole.mean) < 4 * drawn.standardError, "\(drawn)")
  }

  @Test("precision and recall")
  func precisionRecall() {
    let (x, y) = (formulaFeatures(40), formulaFeatures(50, a: 2, b: 3))
    for n in 0..<x.count { x.base[n] += 1e-3 * Float(n / 6) }  // no two alike
    for n in 0..<y.count { y.base[n] += 1.7e-3 * Float(n / 6) }
    let found = PrecisionRecall(real: x, fake: y, neighbor: 3)
    #expect(found == PrecisionRecall(real: x, fake: y, neighbor: 3))
    #expect(abs(found.precision - 0.88) < 1e-12 && abs(found.recall - 0.8) < 1e-12, "\(found)")
  }

  /// Points on a line with growing gaps: the neighbours of a point come from before it.
  @Test("radii across blocks, by any rank")
  func radii() {
    let count = 1_500
    let places = (0..<count).map { i in Double(i) + Double(i * i) / 4_096 }
    let line = FeaturePoints(Tensor([count, 1], places.map { Float($0) }))
    let whole = line.squaredRadii(neighbor: 2, rows: 0..<count)
    for i in stride(from: 0, to: count, by: 37) {
      let others = places.indices.filter { $0 != i }.map { abs(places[$0] - places[i]) }.sorted()
      #expect(abs(whole[i] - others[1] * others[1]) < 2, "\(i)")  // float32 squares of 2,000
    }
    #expect(line.blocks == [0..<1_024, 1_024..<count])
    let parts = line.blocks.flatMap { line.squaredRadii(neighbor: 2, rows: $0) }
    #expect((parts == whole) as Bool)
  }

  /// Whole numbers, whose products float32 holds exactly.
  @Test("balls of any block hold what lies in them")
  func balls() {
    let line = FeaturePoints(Tensor([1_500, 1], (0..<1_500).map { Float(8 * $0) }))
    let manifold = FeatureManifold(line, squaredRadii: [Double](repeating: 9, count: 1_500))
    let queries = Tensor([4, 1], [-3, -4, 9_603, 9_604])
    #expect(manifold.contains(FeaturePoints(queries)) == [true, false, true, false])
  }

  @Test("the SVM finds the minimum, P-IDS and U-IDS count its errors")
  func discrimination() {
    let (x, y) = (formulaFeatures(40), formulaFeatures(40, a: 2, b: 3))
    let machine = LinearSVM(positive: x, negative: y)
    let expected = [
      -0.16155465467419705, -0.12618221064106594, -0.25456849739826465, -0.09674144654320738,
      0.6262060099392686, 0.28627714401191073, -0.13434246175671063,
    ]
    for (found, value) in zip(machine.weights, expected) { #expect(abs(found - value) < 1e-9) }
    #expect(machine.iterations < 15)

    let found = InceptionDiscrimination(real: x, fake: y)
    #expect(found.unpaired == 0.3625 && found.paired == 0.4)
  }

  @Test("P-IDS compares each image with its own completion, some of them by the machine of all")
  func pairs() {
    // Reals at 1 … 4, fakes below all but the last real: only pair 0 has a fake above its real.
    let real = Tensor([4, 1], [1, 2, 3, 4])
    let fake = Tensor([4, 1], [1.5, 0, -1, -2])
    let found = InceptionDiscrimination(real: real, fake: fake)
    #expect(found.outcomes.map(\.fakeWins) == [true, false, false, false])
    #expect(
      found.paired == 0.25 && found.paired(among: [0]) == 1 && found.paired(among: [1, 2]) == 0)
    // In another order of the fakes, a figure of other pairs.
    let shifted = InceptionDiscrimination(real: real, fake: Tensor([4, 1], [0, 1.5, -1, -2]))
    #expect(shifted.paired == 0 && shifted.unpaired == found.unpaired)
    let wrong = found.outcomes.reduce(0) { $0 + $1.wrong }
    #expect(wrong > 0 && found.unpaired == Double(wrong) / 8)
    #expect(found.unpaired(among: [3]) == Double(found.outcomes[3].wrong) / 2)
    // Equal images: nobody can tell them apart, and no fake looks more real.
    let same = InceptionDiscrimination(real: real, fake: real)
    #expect(same.paired == 0 && same.unpaired == 0.5)
  }

  @Test("an SVM between two separable sets puts each on its side")
  func separable() {
    let x = Tensor([3, 2], [1, 1, 2, 1, 3, 2])
    let y = Tensor([2, 2], [-1, -2, -2, -1])
    let machine = LinearSVM(positive: x, negative: y)
    #expect(machine.scores(x).allSatisfy { $0 > 0 } && machine.scores(y).allSatisfy { $0 < 0 })
  }
}
