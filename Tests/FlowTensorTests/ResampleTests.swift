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

  @Test("gradients equal central differences, once and added up", arguments: 0..<3)
  func gradients(_ index: Int) {
    let operation = [upsampleNearest2, downsampleAverage2, downsampleNearest2][index]
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
