import FlowComm
import FlowMetrics
import FlowTensor
import Testing
import Worker

@Suite("Figures over ranks", .serialized)
struct FeatureComparisonTests {
  /// Two blocks of points each, around places half a deviation apart.
  private let real = Philox(seed: 4, stream: .noise).normal([1_500, 6])
  private let fake = Philox(seed: 5, stream: .noise).normal([1_100, 6])

  init() {
    for i in 0..<fake.count { fake.base[i] = 0.8 * fake.base[i] + 0.5 }
  }

  @Test("block by block, the figures are those of the whole")
  func equal() throws {
    let comparison = try FeatureComparison(real: real, fake: fake, SingleRank())
    #expect(comparison.fewest == 1_100)
    let manifolds = try comparison.precisionRecall(neighbor: 2)
    #expect(manifolds == PrecisionRecall(real: real, fake: fake, neighbor: 2))
    // Neither is trivial, and they cannot be taken for each other.
    #expect(manifolds.precision < 1 && manifolds.recall > 0.2)
    #expect(manifolds.precision > manifolds.recall + 0.1, "\(manifolds)")
    let kernel = try comparison.kernelDistance(subsets: 7, subsetSize: 30, seed: 3)
    #expect(
      kernel == KernelDistance(real: real, fake: fake, subsets: 7, subsetSize: 30, seed: 3))
    #expect(kernel.deviation > 0)
  }
}
