import FlowData
import FlowTensor
import Foundation
import Testing

/// What an autoencoder or a sampler does to a picture: blur, noise, a shift of the colours.
struct Damage: Sendable, CustomStringConvertible {
  var description: String
  /// Passes of a 3×3 mean.
  var blurs = 0
  /// Standard deviation of the noise and largest shift of a channel, in levels.
  var noise: Float = 0
  var shift: Float = 0
  /// Side of blocks in which half the noise is constant, as coarse quantisation leaves it.
  var blocks = 1

  func callAsFunction(_ image: ImageBuffer, _ random: Philox) -> ImageBuffer {
    var result = image
    for _ in 0..<blurs { result = boxBlurred(result) }
    let noise = random.normal(Shape([result.pixels.count])).values
    for i in result.pixels.indices {
      let (x, y, c) = (i / 3 % image.width, i / 3 / image.width, i % 3)
      let block = ((y / blocks * blocks) * image.width + x / blocks * blocks) * 3 + c
      let step = blocks == 1 ? noise[i] : 0.5 * noise[i] + 0.85 * noise[block]
      let level = Float(result.pixels[i]) + self.noise * step
        + shift * (2 * random.uniform(1_000_000 + c) - 1)
      result.pixels[i] = UInt8(max(0, min(255, level.rounded())))
    }
    return result
  }
}

func boxBlurred(_ image: ImageBuffer) -> ImageBuffer {
  var result = image
  for y in 0..<image.height {
    for x in 0..<image.width {
      var sum = SIMD3<Int>.zero
      for dy in -1...1 {
        for dx in -1...1 {
          let px = min(image.width - 1, max(0, x + dx)), py = min(image.height - 1, max(0, y + dy))
          sum &+= SIMD3<Int>(truncatingIfNeeded: image[px, py])
        }
      }
      result[x, y] = SIMD3<UInt8>(truncatingIfNeeded: (sum &+ 4) / 9)
    }
  }
  return result
}

@Suite("Shapes judge") struct ShapesJudgeTests {
  let judge = ShapesJudge()

  @Test(
    "names held-out pictures",
    arguments: [
      Damage(description: "as drawn"),
      Damage(description: "one blur", blurs: 1),
      Damage(description: "two blurs", blurs: 2),
      Damage(description: "noise", noise: 10),
      Damage(description: "blur, noise", blurs: 1, noise: 6, shift: 8),
      Damage(description: "two blurs, noise", blurs: 2, noise: 8, shift: 10),
      Damage(description: "blocks", blurs: 1, noise: 7, shift: 6, blocks: 8),
    ])
  func held(_ damage: Damage) {
    let set = ShapesDataset(size: 64, seed: 77)
    var right = 0, wrong = 0
    var reasons: [String: Int] = [:]
    var overlaps: [Double] = []; var low = [[Double]](repeating: [], count: 4); var lowm = 1.0
    for i in 0..<1000 {
      let sample = set.draw(50_000 + i)
      let v = judge.judge(damage(sample.image, Philox(seed: 5, stream: .noise, index: i)))
      if v.label == sample.label { right += 1; overlaps.append(v.overlap); low[sample.label / 4].append(v.overlap); lowm = min(lowm, v.margin) } else {
        if v.label != nil { wrong += 1 }
        reasons["\(sample.shapeClass.kind) \(v.rejection?.rawValue ?? "wrong")", default: 0] += 1 }
    }
    overlaps.sort()
    print(damage.description, "right", right, "wrong", wrong, low.map { $0.sorted()[1] }, lowm, reasons.sorted { $0.key < $1.key }.prefix(12))
  }
  @Test func speed() {
    let set = ShapesDataset(size: 64, seed: 77)
    let im = (0..<500).map { set.image($0) }
    let t = ContinuousClock().measure { for i in im { _ = judge.judge(i) } }
    print("judge 500:", t)
  }
}

/// Smooth random field in [-1, 1]: normal numbers on a coarse lattice, bicubic between.
func cloud(_ lattice: Int, side: Int, _ random: Philox) -> ImageBuffer {
  let n = random.normal(Shape([lattice * lattice * 3])).values
  let px = n.map { UInt8(max(0, min(255, 128 + 64 * $0))) }
  return ImageBuffer(width: lattice, height: lattice, pixels: px).resized(width: side, height: side, .bicubic)
}

func inverseLerp(_ a: ImageBuffer, _ b: ImageBuffer, _ t: (Int, Int) -> Float) -> ImageBuffer {
  var r = a
  for y in 0..<a.height { for x in 0..<a.width {
    let w = t(x, y)
    let m = SIMD3<Float>(a[x, y]) * (1 - w) + SIMD3<Float>(b[x, y]) * w
    r[x, y] = SIMD3<UInt8>(m, rounding: .toNearestOrEven)
  } }
  return r
}

@Suite("Shapes judge 2") struct ShapesJudgeTests2 {
  let judge = ShapesJudge()
  @Test func falseOnes() {
    let set = ShapesDataset(size: 64, seed: 99)
    let kinds: [(String, (Int) -> ImageBuffer)] = [
      ("white noise", { i in
        let n = Philox(seed: 1, stream: .noise, index: i).normal(Shape([64*64*3])).values
        return ImageBuffer(width: 64, height: 64, pixels: n.map { UInt8(max(0, min(255, 128 + 60 * $0))) }) }),
      ("cloud 2", { cloud(2, side: 64, Philox(seed: 2, stream: .noise, index: $0)) }),
      ("cloud 3", { cloud(3, side: 64, Philox(seed: 2, stream: .noise, index: $0)) }),
      ("cloud 4", { cloud(4, side: 64, Philox(seed: 2, stream: .noise, index: $0)) }),
      ("cloud 8", { cloud(8, side: 64, Philox(seed: 2, stream: .noise, index: $0)) }),
      ("blank", { ImageBuffer(width: 64, height: 64, gray: UInt8($0 % 256)) }),
      ("mean of two", { i in inverseLerp(set.image(2*i), set.image(2*i+1)) { _, _ in 0.5 } }),
      ("left half missing (ground other)", { i in inverseLerp(set.image(2*i), ImageBuffer(width: 64, height: 64, gray: 128)) { x, _ in x < 32 ? 1 : 0 } }),
      ("faded", { i in inverseLerp(set.image(2*i), ImageBuffer(width: 64, height: 64, gray: 128)) { _, _ in 0.7 } }),
      ("gauss blob", { i in
        let r = Philox(seed: 8, stream: .noise, index: i)
        let s = 6 + 8 * r.uniform(0)
        let c = ShapeColor.allCases[i % 4]
        let fg = set.draw(i).image
        _ = fg
        let colors: [SIMD3<UInt8>] = [SIMD3(219, 38, 38), SIMD3(36, 173, 61), SIMD3(38, 76, 224), SIMD3(242, 212, 31)]
        var f = ImageBuffer(width: 64, height: 64, gray: 0)
        for y in 0..<64 { for x in 0..<64 { f[x, y] = colors[c.rawValue] } }
        return inverseLerp(ImageBuffer(width: 64, height: 64, gray: 128), f) { x, y in
          let dx = Float(x - 32), dy = Float(y - 32)
          return exp(-(dx*dx+dy*dy)/(2*s*s)) } }),
      ("many blurs", { i in
        var im = set.image(i)
        for _ in 0..<25 { im = boxBlurred(im) }
        return im }),
      ("10 blurs", { i in
        var im = set.image(i)
        for _ in 0..<10 { im = boxBlurred(im) }
        return im }),
      ("blobs", { i in
        let f = cloud(3, side: 64, Philox(seed: 12, stream: .noise, index: i))
        let colors: [SIMD3<UInt8>] = [SIMD3(219, 38, 38), SIMD3(36, 173, 61), SIMD3(38, 76, 224), SIMD3(242, 212, 31)]
        var c = ImageBuffer(width: 64, height: 64, gray: 0)
        for y in 0..<64 { for x in 0..<64 { c[x, y] = colors[i % 4] } }
        return inverseLerp(ImageBuffer(width: 64, height: 64, gray: 128), c) { x, y in
          let dx = Float(x - 32) / 32, dy = Float(y - 32) / 32
          let d = (dx * dx + dy * dy).squareRoot()
          let v = (Float(f[x, y].x) - 128) / 64 * 0.15 + 0.55 - d
          return max(0, min(1, v * 32)) } }),
      ("blobs 5", { i in
        let f = cloud(5, side: 64, Philox(seed: 12, stream: .noise, index: i))
        let colors: [SIMD3<UInt8>] = [SIMD3(219, 38, 38), SIMD3(36, 173, 61), SIMD3(38, 76, 224), SIMD3(242, 212, 31)]
        var c = ImageBuffer(width: 64, height: 64, gray: 0)
        for y in 0..<64 { for x in 0..<64 { c[x, y] = colors[i % 4] } }
        return inverseLerp(ImageBuffer(width: 64, height: 64, gray: 128), c) { x, y in
          let dx = Float(x - 32) / 32, dy = Float(y - 32) / 32
          let d = (dx * dx + dy * dy).squareRoot()
          let v = (Float(f[x, y].x) - 128) / 64 * 0.3 + 0.55 - d
          return max(0, min(1, v * 32)) } }),
    ]
    for (name, make) in kinds {
      var n = 0; var reasons: [String: Int] = [:]; var best = 0.0
      for i in 0..<500 { let v = judge.judge(make(i)); if v.label != nil { n += 1; best = max(best, v.overlap)
        reasons[ShapeClass(label: v.label!).kind.name, default: 0] += 1
        if n < 4 { try! make(i).writePNG(to: "/tmp/lf/false-\(name)-\(i).png") } } else { reasons[v.rejection!.rawValue, default: 0] += 1 } }
      print("FALSE", name, n, best, reasons)
    }
  }
}
