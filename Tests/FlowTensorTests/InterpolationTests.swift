import FlowTensor
import TestSupport
import Testing

@Suite("Interpolation", .serialized)
struct InterpolationTests {
  private static let sizes = [[7, 9], [3, 2], [4, 10], [8, 5], [1, 1]]

  private func image(_ height: Int, _ width: Int) -> Tensor {
    Philox(seed: 8, stream: .noise).normal([2, height, width, 3])
  }

  @Test("a constant image stays as it is, at every size", arguments: Interpolation.allCases)
  func constant(_ mode: Interpolation) {
    for size in Self.sizes {
      let y = resized(Tensor([1, 4, 5, 2], fill: 0.75), height: size[0], width: size[1], mode)
      #expect(y.shape.dims == [1] + size + [2])
      #expect(y.values.allSatisfy { abs($0 - 0.75) < 1e-6 }, "\(mode), \(size)")
    }
  }

  @Test("one's own size changes nothing", arguments: Interpolation.allCases)
  func identity(_ mode: Interpolation) {
    let x = image(4, 5)
    #expect(relativeError(resized(x, height: 4, width: 5, mode).values, x.values) < 1e-7)
  }

  @Test("by two, nearest and area are the operations of that name")
  func byTwo() {
    let x = image(4, 6)
    #expect(resized(x, height: 8, width: 12, .nearest).values == upsampleNearest2(x).values)
    #expect(resized(x, height: 2, width: 3, .nearest).values == downsampleNearest2(x).values)
    let halved = resized(x, height: 2, width: 3, .area).values
    #expect(relativeError(halved, downsampleAverage2(x).values) < 1e-6)
    // Between the centres of two pixels lies their mean; a tent of twice the width sees four.
    let row = Tensor([1, 1, 4, 1], [0, 8, 16, 40])
    #expect(resized(row, height: 1, width: 2, .bilinear).values == [4, 28])
    let wide = resized(row, height: 1, width: 2, .bilinearAntialiased).values
    #expect(zip(wide, [Float(40) / 7, 176 / 7]).allSatisfy { abs($0 - $1) < 1e-5 })
  }

  @Test("a ramp goes on as a ramp; one pixel shows the cubic's weights")
  func weights() {
    let ramp = Tensor([1, 1, 12, 1], (0..<12).map { Float($0) })
    let y = resized(ramp, height: 1, width: 30, .bilinear).values
    for i in 2..<28 { #expect(abs(y[i] - ((Float(i) + 0.5) * 0.4 - 0.5)) < 1e-5) }
    // Twice the size, at distances 7/4, 5/4, 3/4 and 1/4 of either side.
    let pixel = Tensor([1, 7, 1, 1], (0..<7).map { $0 == 3 ? 1 : 0 })
    let half: [Float] = [-0.03515625, -0.10546875, 0.26171875, 0.87890625]
    let cubic = resized(pixel, height: 14, width: 1, .bicubic).values
    let expected = [0, 0, 0] + half + half.reversed() + [0, 0, 0]
    #expect(zip(cubic, expected).allSatisfy { abs($0 - $1) < 1e-6 })
  }

  @Test("gradients equal central differences", arguments: Interpolation.allCases)
  func gradients(_ mode: Interpolation) {
    for size in [[5, 7], [2, 3], [6, 2]] {
      let once: ([Tensor]) -> Tensor = {
        resized($0[0], height: size[0], width: size[1], mode)
      }
      for f in [once, { once($0) + once($0) }] {
        for comparison in compareGradients([image(3, 4)], f) {
          #expect(comparison.error < 5e-4, "\(mode), \(size): \(comparison)")
        }
      }
    }
  }
}
