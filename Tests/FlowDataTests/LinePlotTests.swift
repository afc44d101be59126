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

  @Test("numbers stand at a narrow axis too, and the eighth curve is told from the first")
  func narrow() throws {
    func draw(_ curves: [LinePlot.Curve]) -> ImageBuffer {
      LinePlot(title: "", xLabel: "", yLabel: "", curves: curves).draw(width: 800, height: 500)
    }
    /// Grid lines across the frame: rows whose light grey reaches over half of it.
    func lines(_ image: ImageBuffer) -> Int {
      (0..<image.height).count { y in
        (0..<image.width).count { image[$0, y] == SIMD3(225, 225, 225) } > 250
      }
    }
    for (low, high) in [(10.0, 10.4), (2.0, 4.0), (6.0, 17.0), (1.0, 90.0), (0.01, 1000.0)] {
      let found = lines(draw([LinePlot.Curve("a", [(10, low), (20, high)])]))
      #expect((3...8).contains(found), "\(low) to \(high): \(found)")
    }
    #expect(draw([LinePlot.Curve("a", [(5, 5)])]).width == 800)
    let eight = (0..<8).map { LinePlot.Curve("x", [(Double($0 + 1), Double($0 + 1))]) }
    let image = draw(eight)
    let first = try #require(extent(of: blue, in: image, before: 160))
    let last = try #require(extent(of: blue, in: image, before: 690))
    #expect(first.x.count == 7 && last.x.count > 300)
    #expect(last.y.lowerBound < first.y.lowerBound)
    let (x, y) = (last.x.upperBound, last.y.lowerBound)
    #expect(image[x, y] == blue && image[x - 5, y + 5] != blue)
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
