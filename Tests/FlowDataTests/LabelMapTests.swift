import Diagnostics
import FlowData
import Foundation
import Testing

@Suite("label maps") struct LabelMapTests {
  @Test("a folder that describes itself has the maps that it was written with")
  func folder() throws {
    try withTemporaryFolder { folder in
      let set = ShapesDataset(size: 32, seed: 5, count: 4)
      try writeShapes(to: "\(folder)/set", count: 4, size: 32, seed: 5)
      let read = try ImageFolder("\(folder)/set")
      #expect(read.mapClasses == 17)
      for i in 0..<4 { #expect(try read.map(i) == set.mask(i)) }
      let some = SelectedImages(read, indices: [1, 3])
      #expect(try some.map(1) == set.mask(3))
      // Pictures without a description have none.
      let plain = try ImageFolder("\(folder)/set/images")
      #expect(try plain.mapClasses == nil && plain.map(0) == nil)
    }
  }

  @Test("the judged class map of a drawn picture is its map but for the outline")
  func judged() {
    let set = ShapesDataset(size: 64, seed: 77, startIndex: 90_000)
    var agreement = ClassMapAgreement()
    for i in 0..<100 {
      let sample = set.draw(i)
      agreement.add(given: sample.mask, judged: ShapesJudge().classMap(sample.image))
    }
    #expect(agreement.agreement > 0.98 && agreement.overlap > 0.97)
    #expect(agreement.rightClass >= 99 && agreement.pictures == 100)
  }

  @Test("another class, another place and nothing at all do not agree")
  func disagrees() {
    let set = ShapesDataset(size: 64, seed: 77)
    let judge = ShapesJudge()
    func agreement(of image: ImageBuffer, with map: LabelMap) -> ClassMapAgreement {
      var agreement = ClassMapAgreement()
      agreement.add(given: map, judged: judge.classMap(image))
      return agreement
    }
    let (one, other) = (set.draw(0), set.draw(1))
    #expect(one.label != other.label)
    #expect(agreement(of: other.image, with: one.mask).agreement == 0)
    let blank = agreement(of: ImageBuffer(width: 64, height: 64, gray: 90), with: one.mask)
    #expect(blank.agreement == 0 && blank.overlap == 0 && blank.rightClass == 0)
    let mirrored = agreement(of: one.image.flippedHorizontally(), with: one.mask)
    #expect(mirrored.agreement < 0.95)
    // Half of a shape is half of its pixels.
    var half = one.mask
    for i in half.labels.indices where i < half.labels.count / 2 { half.labels[i] = 0 }
    var counted = ClassMapAgreement()
    counted.add(given: one.mask, judged: half)
    let (rest, all) = (half.labels.count { $0 > 0 }, one.mask.labels.count { $0 > 0 })
    #expect(counted.agreement == Double(rest) / Double(all) && counted.agreement > 0)
    #expect(counted.overlap == counted.agreement)
  }

  @Test("colours of up to 182 classes differ, and paint the map")
  func palette() {
    let palette = LabelMap.palette(classes: 182)
    #expect(Set(palette.map { [$0.x, $0.y, $0.z] }).count == 182)
    let map = LabelMap(width: 3, height: 1, labels: [0, 181, 255])
    let image = map.painted(palette)
    #expect(image[0, 0] == SIMD3(0, 0, 0) && image[1, 0] == palette[181])
    #expect(image[2, 0] == SIMD3(128, 128, 128))
  }
}
