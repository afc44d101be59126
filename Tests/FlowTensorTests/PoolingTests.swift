import FlowTensor
import TestSupport
import Testing

@Suite("Pooling, resizing and frozen convolutions", .serialized)
struct PoolingTests {
  /// [1, 3, 4, 2]: 0 … 11, and the same turned around.
  private let image = Tensor(
    [1, 3, 4, 2], (0..<12).flatMap { [Float($0), Float(11 - $0)] })

  @Test("windows see the image and nothing beyond its edge")
  func windows() {
    let largest = maxPool(image, window: 3, stride: 1, padding: 1)
    #expect(largest.shape == [1, 3, 4, 2])
    #expect(
      stride(from: 0, to: 24, by: 2).map { largest.values[$0] }
        == [5, 6, 7, 7, 9, 10, 11, 11, 9, 10, 11, 11])
    #expect(
      stride(from: 1, to: 24, by: 2).map { largest.values[$0] }
        == [11, 11, 10, 9, 11, 11, 10, 9, 7, 7, 6, 5])
    let mean = averagePool(image, window: 3, stride: 1, padding: 1)
    #expect(
      stride(from: 0, to: 24, by: 2).map { mean.values[$0] }
        == [2.5, 3, 4, 4.5, 4.5, 5, 6, 6.5, 6.5, 7, 8, 8.5])
    #expect(maxPool(image, window: 3, stride: 2).shape == [1, 1, 1, 2])
    #expect(maxPool(image, window: 2, stride: 2).values == [5, 11, 7, 9])
  }

  @Test("means and joined channels")
  func joined() {
    #expect(meanOverPixels(image).values == [5.5, 5.5])
    let y = joinedChannels([image, Tensor([1, 3, 4, 1], fill: 7), image])
    #expect(y.shape == [1, 3, 4, 5])
    #expect(Array(y.values[5..<10]) == [1, 10, 7, 1, 10])
  }

  @Test("bilinear resizing: pixel centres at half-integers, edges repeated")
  func resize() {
    let row = Tensor([1, 1, 2, 1], [0, 4])
    #expect(resizedBilinear(row, height: 2, width: 4).values == [0, 1, 3, 4, 0, 1, 3, 4])
    let shrunk = resizedBilinear(image, height: 1, width: 2, scale: 2, offset: -1)
    #expect(shrunk.values == [8, 12, 12, 8])
    #expect((resizedBilinear(image, height: 3, width: 4).values == image.values) as Bool)
  }

  @Test("a frozen convolution is the convolution, with a ReLU behind it", arguments: [
    (1, 7, 1, 0, 3), (7, 1, 1, 3, 0), (3, 3, 2, 0, 0), (5, 5, 1, 2, 2), (1, 1, 1, 0, 0),
    (11, 11, 4, 2, 2),
  ])
  func frozen(_ kh: Int, _ kw: Int, _ stride: Int, _ vertical: Int, _ horizontal: Int) {
    let x = Philox(seed: 1, stream: .noise).normal([2, 13, 12, 6])
    let weight = Philox(seed: 2, stream: .noise).normal([10, 6, kh, kw])
    let bias = Philox(seed: 3, stream: .noise).normal([10])
    let padding = Padding(top: vertical, left: horizontal, bottom: vertical, right: horizontal)
    let expected = convolution(x, weight: weight, bias: bias, stride: stride, padding: padding)
    let plain = FrozenConvolution(
      weight: weight, bias: bias, stride: stride, padding: padding, rectified: false)
    let rectified = FrozenConvolution(
      weight: weight, bias: bias, stride: stride, padding: padding, rectified: true)
    for _ in 0..<2 {  // the second time with weights at hand
      #expect(relativeError(plain(x).values, expected.values) < 1e-6)
      #expect(
        relativeError(rectified(x).values, expected.values.map { max(0, $0) }) < 1e-6)
    }
    let alone = x.slice(0..<1)
    #expect(
      relativeError(plain(alone).values, Array(expected.values.prefix(expected.count / 2))) < 1e-6)
  }
}
