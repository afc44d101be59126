import FlowData
import Foundation
import Testing

@Suite("Shapes set") struct ShapesDatasetTests {
  /// A picture is a function of (size, seed, index): order and range do not matter.
  @Test func samplesDependOnSeedAndIndexAlone() {
    let set = ShapesDataset(size: 64, seed: 9)
    let later = ShapesDataset(size: 64, seed: 9, count: 50, startIndex: 100)
    for i in [49, 0, 17] {
      #expect(later.draw(i).image == set.draw(100 + i).image)
      #expect(later.label(i) == set.label(100 + i))
      #expect(later.name(i) == "000\(100 + i).png")
    }
    #expect(set.image(3) != ShapesDataset(size: 64, seed: 10).image(3))
    #expect(set.image(3) != set.image(4))
  }

  /// The set that trained autoencoders and published figures mean: it must not drift.
  @Test func pixelsAreTheSameEverywhere() {
    let set = ShapesDataset(size: 64, seed: 1)
    let bytes = (0..<64).flatMap { set.image($0).pixels }
    let digest = bytes.withUnsafeBytes { sha256Hex(of: $0) }
    #expect(digest == "45f8b7221d860b3c8074cddb27badbb2af1f8162b3b2358c8d2675f373876421")
  }

  @Test func classesAreBalancedAndUnpredictable() {
    let set = ShapesDataset(size: 64, seed: 4)
    let labels = (0..<1600).map { set.label($0)! }
    for start in stride(from: 0, to: 1600, by: 16) {
      #expect(Set(labels[start..<start + 16]).count == 16)
    }
    #expect(Set((0..<100).map { labels[16 * $0] }).count > 10)
    #expect(set.classNames?.count == 16 && set.classNames?[0] == "red circle")
    #expect(set.classNames?[15] == "yellow star")
  }

  /// The mask covers what the colour covers, whole and inside the picture, at every size.
  @Test(arguments: [16, 32, 64, 200])
  func shapesAreWhole(_ size: Int) {
    let set = ShapesDataset(size: size, seed: 6)
    for i in 0..<64 {
      let sample = set.draw(i)
      #expect(sample.label == set.label(i))
      var (area, foreign, outermost) = (0, 0, 0)
      for y in 0..<size {
        for x in 0..<size where sample.mask.labels[y * size + x] != 0 {
          area += 1
          if sample.mask.labels[y * size + x] != UInt8(1 + sample.label) { foreign += 1 }
          if min(x, y, size - 1 - x, size - 1 - y) < 1 { outermost += 1 }
        }
      }
      #expect(foreign == 0 && outermost == 0)
      let share = Double(area) / Double(size * size)
      #expect(share > 0.07 && share < 0.33, "\(sample.shapeClass) covers \(share)")
    }
  }

  /// Edge pixels are partly covered: a small picture has the mean of the same picture drawn large.
  @Test func edgesAreCoverage() {
    let (small, large) = (ShapesDataset(size: 32, seed: 2), ShapesDataset(size: 256, seed: 2))
    for i in 0..<16 {
      let (a, b) = (small.draw(i), large.draw(i))
      let mean = { (image: ImageBuffer) in
        image.pixels.reduce(0.0) { $0 + Double($1) } / Double(image.pixels.count)
      }
      #expect(abs(mean(a.image) - mean(b.image)) < 1.0)
      let partly = Set(a.image.pixels).count
      #expect(partly > 40)
    }
  }

  /// The aim is 2,000 a second; the bound leaves room for a busy machine.
  @Test func drawingIsQuick() {
    let set = ShapesDataset(size: 64, seed: 1)
    let seconds = processorSeconds { for i in 0..<500 { _ = set.draw(i) } }
    print("drawn per second:", Int(500 / seconds))
    #expect(500 / seconds > 500)
  }
}
