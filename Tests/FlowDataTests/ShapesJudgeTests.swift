import FlowData
import FlowTensor
import Foundation
import Testing

@Suite("Shapes judge") struct ShapesJudgeTests {
  let judge = ShapesJudge()
  let set = ShapesDataset(size: 64, seed: 77, startIndex: 50_000)

  @Test(
    "names 1,000 held-out pictures",
    arguments: [
      (Damage(description: "as drawn"), 995),
      (Damage(description: "one blur", blurs: 1), 990),
      (Damage(description: "two blurs", blurs: 2), 990),
      (Damage(description: "noise", noise: 10), 990),
      (Damage(description: "blur, noise, colour shift", blurs: 1, noise: 6, shift: 8), 990),
      (Damage(description: "two blurs, noise, colour shift", blurs: 2, noise: 8, shift: 10), 980),
      (Damage(description: "blocks", blurs: 1, noise: 7, shift: 6, blocks: 8), 980),
    ])
  func heldOut(_ damage: Damage, _ atLeast: Int) {
    var (right, wrong) = (0, 0)
    for i in 0..<1000 {
      let sample = set.draw(i)
      let image = damage(sample.image, Philox(seed: 5, stream: .noise, index: i))
      let verdict = judge.judge(image)
      if verdict.label == sample.label {
        right += 1
        #expect(verdict.confidence > 0.5 && verdict.rejection == nil)
      } else if verdict.label != nil {
        wrong += 1
      }
    }
    #expect(right >= atLeast)
    #expect(wrong <= 1)
  }

  @Test("at other sizes", arguments: [(32, 190), (48, 197), (100, 198), (256, 198)])
  func otherSizes(_ size: Int, _ atLeast: Int) {
    let set = ShapesDataset(size: size, seed: 3)
    let right = (0..<200).filter { i in
      let sample = set.draw(i)
      return judge.judge(sample.image).label == sample.label
    }
    #expect(right.count >= atLeast)
  }

  /// Pictures that show no class, or too little of one: at most `allowed` of 500 get a label.
  struct Nothing: Sendable, CustomStringConvertible {
    var description: String
    var allowed: Int
    var make: @Sendable (ShapesDataset, Int) -> ImageBuffer
  }

  static let nothings: [Nothing] = [
    Nothing(description: "blank", allowed: 0) { _, i in
      ImageBuffer(width: 64, height: 64, gray: UInt8(i % 256))
    },
    Nothing(description: "white noise", allowed: 0) { _, i in
      let random = Philox(seed: 1, stream: .noise, index: i)
      let levels = random.normal(Shape([64 * 64 * 3])).values
      return ImageBuffer(
        width: 64, height: 64, pixels: levels.map { UInt8(max(0, min(255, 128 + 60 * $0))) })
    },
    Nothing(description: "clouds of 2×2", allowed: 2) { _, i in cloud(2, i) },
    Nothing(description: "clouds of 3×3", allowed: 2) { _, i in cloud(3, i) },
    Nothing(description: "clouds of 5×5", allowed: 2) { _, i in cloud(5, i) },
    Nothing(description: "clouds of 9×9", allowed: 2) { _, i in cloud(9, i) },
    Nothing(description: "smeared until unclear", allowed: 2) { set, i in
      (0..<12).reduce(set.image(i)) { image, _ in boxBlurred(image) }
    },
    Nothing(description: "bell-shaped spots", allowed: 2) { _, i in
      let width = 6 + 8 * Philox(seed: 8, stream: .noise, index: i).uniform()
      return patch(i) { x, y in 1.1 * exp(-(x * x + y * y) / (2 * width * width)) }
    },
    Nothing(description: "sharp blobs", allowed: 10) { _, i in
      let bumps = cloud(5, i)
      return patch(i) { x, y in
        let bump = Float(bumps[Int(x + 31.5), Int(y + 31.5)].x) - 128
        return 17 + 0.15 * bump - (x * x + y * y).squareRoot()
      }
    },
    Nothing(description: "bars", allowed: 0) { _, i in
      let (length, thickness) = (16 + Float(i % 12), 6 + Float(i % 5))
      return patch(i) { x, y in min(length - abs(x), thickness - abs(y)) + 0.5 }
    },
    Nothing(description: "ellipses", allowed: 0) { _, i in
      let (a, b) = (19 + Float(i % 4), 11 + Float(i % 3))
      return patch(i) { x, y in
        (1 - (x * x / (a * a) + y * y / (b * b)).squareRoot()) * b + 0.5
      }
    },
    Nothing(description: "rings", allowed: 0) { _, i in
      let radius = 15 + Float(i % 6)
      return patch(i) { x, y in 5 - abs((x * x + y * y).squareRoot() - radius) }
    },
    Nothing(description: "mean of two pictures", allowed: 10) { set, i in
      blend(set.image(2 * i), set.image(2 * i + 1)) { _, _ in 0.5 }
    },
    Nothing(description: "faded", allowed: 10) { set, i in
      blend(set.image(i), ImageBuffer(width: 64, height: 64, gray: 128)) { _, _ in 0.7 }
    },
    Nothing(description: "half of the shape missing", allowed: 10) { set, i in
      let mask = set.draw(i).mask
      let columns = mask.labels.indices.filter { mask.labels[$0] > 0 }.map { $0 % 64 }
      let middle = columns.reduce(0, +) / columns.count
      let ground = set.image(i)[0, 0]
      var image = set.image(i)
      for y in 0..<64 { for x in middle..<64 { image[x, y] = ground } }
      return image
    },
    Nothing(description: "two shapes side by side", allowed: 0) { set, i in
      let one = set.image(2 * i).resized(width: 32, height: 64, .bilinear)
      let other = set.image(2 * i + 1).resized(width: 32, height: 64, .bilinear)
      var pixels: [UInt8] = []
      for y in 0..<64 {
        let row = y * 96..<(y + 1) * 96
        pixels += one.pixels[row]
        pixels += other.pixels[row]
      }
      return ImageBuffer(width: 64, height: 64, pixels: pixels)
    },
    Nothing(description: "two colours in one shape", allowed: 10) { set, i in
      var image = set.image(i)
      let mask = set.draw(i).mask
      let rows = mask.labels.indices.filter { mask.labels[$0] > 0 }.map { $0 / 64 }
      let middle = rows.reduce(0, +) / rows.count
      for y in 0..<middle {
        for x in 0..<64 where mask.labels[y * 64 + x] > 0 {
          let old = image[x, y]
          image[x, y] = SIMD3(old.y, old.z, old.x)
        }
      }
      return image
    },
    Nothing(description: "colours of no class", allowed: 0) { set, i in
      var image = set.image(i)
      let mask = set.draw(i).mask
      for k in mask.labels.indices where mask.labels[k] > 0 {
        image[k % 64, k / 64] = i % 2 == 0 ? SIMD3(200, 30, 200) : SIMD3(20, 20, 20)
      }
      return image
    },
  ]

  @Test("sees nothing where there is nothing", arguments: nothings)
  func nothing(_ row: Nothing) {
    let labelled = (0..<500).filter { judge.judge(row.make(set, $0)).label != nil }
    #expect(labelled.count <= row.allowed)
  }

  /// A verdict names the class that is there, so a sample of another class is never counted.
  @Test func wrongClassIsSeenAsWhatItIs() {
    for i in 0..<160 {
      let sample = set.draw(i)
      let asked = (sample.label + 1 + i % 15) % 16
      #expect(judge.judge(sample.image).label != asked)
    }
  }

  @Test func tinyAndOddSizesAreNoTrap() {
    for (width, height) in [(1, 1), (15, 200), (16, 16), (17, 400), (400, 16)] {
      let flat = ImageBuffer(width: width, height: height, gray: 90)
      #expect(judge.judge(flat).label == nil)
      #expect(judge.judge(flat).confidence == 0)
    }
  }

  /// The aim is 300 a second; the bound leaves room for a busy machine.
  @Test func isQuick() {
    let images = (0..<200).map { set.image($0) }
    let seconds = processorSeconds { for image in images { _ = judge.judge(image) } }
    print("judged per second:", Int(200 / seconds))
    #expect(200 / seconds > 150)
  }
}

