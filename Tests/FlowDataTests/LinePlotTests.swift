import FlowData
import Testing

@Suite struct LinePlotTests {
  private let blue = SIMD3<UInt8>(0, 114, 178)
  private let red = SIMD3<UInt8>(213, 94, 0)

  /// Rows and columns that hold a colour, left of the names.
  private func extent(
    of color: SIMD3<UInt8>, in image: ImageBuffer, before column: Int
  ) -> (x: ClosedRange<Int>, y: ClosedRange<Int>)? {
    var (xs, ys): ([Int], [Int]) = ([], [])
    for y in 0..<image.height {
      for x in 0..<column where image[x, y] == color {
        xs.append(x)
        ys.append(y)
      }
    }
    guard let left = xs.min(), let top = ys.min() else { return nil }
    return (left...xs.max()!, top...ys.max()!)
  }

  @Test("curves lie where their numbers are, on logarithmic axes")
  func curves() throws {
    let plot = LinePlot(
      title: "distance", xLabel: "NFE", yLabel: "FD",
      curves: [
        LinePlot.Curve("euler", [(10, 100), (100, 10), (1000, 1)]),
        LinePlot.Curve("heun", [(100, 1), (.nan, 3), (0, 5)]),
      ])
    let image = plot.draw(width: 800, height: 500)
    #expect(image.width == 800 && image.height == 500)
    let line = try #require(extent(of: blue, in: image, before: 640))
    let dot = try #require(extent(of: red, in: image, before: 640))
    // Only the point with numbers is drawn: a square of 7, as low as the curve's end and half way.
    #expect(dot.x.count == 7 && dot.y.count == 7)
    #expect(dot.y.upperBound == line.y.upperBound)
    let middle = (line.x.lowerBound + line.x.upperBound) / 2
    #expect(abs((dot.x.lowerBound + dot.x.upperBound) / 2 - middle) <= 1)
    // The curve falls.
    #expect(image[line.x.lowerBound, line.y.lowerBound] == blue)
    #expect(image[line.x.lowerBound, line.y.upperBound] != blue)
    #expect(LinePlot(title: "", xLabel: "", yLabel: "", curves: []).draw().width == 960)
  }

  @Test("a title is written in letters of its own")
  func letters() {
    func title(_ text: String) -> ImageBuffer {
      LinePlot(title: text, xLabel: "", yLabel: "", curves: []).draw()
    }
    let texts = "0123456789abcdefghijklmnopqrstuvwxyz.,-+_/():=% é".map { String($0) }
    let images = texts.map { title($0).pixels }
    for (i, a) in images.enumerated() {
      for (j, b) in images.enumerated() where j > i {
        #expect(!a.elementsEqual(b), "\(texts[i]) looks like \(texts[j])")
      }
    }
    #expect(title("a").pixels.elementsEqual(title("A").pixels))
  }
}
