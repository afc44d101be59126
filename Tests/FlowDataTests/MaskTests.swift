import Diagnostics
import FlowData
import Foundation
import Testing

/// A kind of mask, and the range that the area of its holes lies in on pictures of 64 pixels.
struct MaskRow: Sendable, CustomTestStringConvertible {
  var kind: String
  /// Of the mean over 64 masks.
  var mean: ClosedRange<Double>
  /// Of every mask.
  var each: ClosedRange<Double> = 0.0001...1

  var testDescription: String { kind }

  /// The ranges of means hold what 64 masks of another seed have, with room around it.
  static let all: [MaskRow] = [
    .init(kind: "strokes", mean: 0.1...0.35),
    .init(kind: "thin", mean: 0.1...0.4, each: 0.0001...0.5),
    .init(kind: "medium", mean: 0.1...0.4, each: 0.0001...0.5),
    .init(kind: "thick", mean: 0.15...0.4, each: 0.0001...0.5),
    .init(kind: "squares", mean: 0.02...0.1),
    .init(kind: "boxes", mean: 0.05...0.25, each: 0.01...0.47),
    .init(kind: "boxes:margin=0,sides=64,times=1", mean: 0.0625...0.0625, each: 0.0625...0.0625),
    .init(kind: "area", mean: 0.17...0.25, each: 0.09...0.36),
    .init(kind: "center", mean: 0.219...0.22, each: 0.219...0.22),
    .init(kind: "mixed", mean: 0.08...0.3),
    .init(kind: "mixed:center=1,invert=1", mean: 0.78...0.781, each: 0.78...0.781),
    .init(kind: "outpaint", mean: 0.15...0.35, each: 0.03...0.75),
    .init(kind: "superres", mean: 0.4...0.95, each: 0.2...1),
    .init(kind: "object:grow=0", mean: 0.1...0.3, each: 0.08...0.35),
    .init(kind: "label", mean: 0.1...0.35, each: 0.08...0.45),
    .init(kind: "silhouette", mean: 0.03...0.3),
    .init(kind: "shape", mean: 0.03...0.45, each: 0.01...0.9),
  ]
}

@Suite struct MaskTests {
  static let set = ShapesDataset(size: 64, seed: 3, count: 64)

  private func mask(
    _ kind: String, seed: UInt64 = 1, step: Int = 0, of picture: Int? = nil, _ i: Int
  ) throws -> HoleMask {
    let size = ImageSize(width: 64, height: 64)
    return try MaskGenerator(kind).mask(
      size, map: Self.set.mask(picture ?? i), seed: seed, step: step, index: i,
      place: "picture \(i)")
  }

  @Test("every kind cuts holes of its size", arguments: MaskRow.all)
  func areas(_ row: MaskRow) throws {
    let masks = try (0..<64).map { try mask(row.kind, $0) }
    for mask in masks {
      #expect(row.each.contains(mask.area), "\(mask.area)")
      #expect(mask.levels.allSatisfy { $0 == 0 || $0 == 255 })
    }
    let mean = masks.reduce(0) { $0 + $1.area } / 64
    #expect(row.mean.contains(mean), "\(mean)")
  }

  @Test("a mask is a function of seed, step and index, of each of them", arguments: MaskRow.all)
  func determinism(_ row: MaskRow) throws {
    let fixed = ["center", "object", "label"].contains { row.kind.contains($0) }
    let first = try (0..<8).map { try mask(row.kind, $0) }
    #expect(try (0..<8).map { try mask(row.kind, $0) } == first)
    guard !fixed else { return }  // one shape, one place: nothing is drawn
    // Two draws may be of one mask, eight pairs of draws are not.
    let seeds = try (0..<8).map { try mask(row.kind, seed: 2, $0) }
    let steps = try (0..<8).map { try mask(row.kind, step: 1, $0) }
    let indices = try (0..<8).map { try mask(row.kind, of: $0, $0 + 8) }
    for (name, others) in [("seed", seeds), ("step", steps), ("index", indices)] {
      #expect(zip(others, first).count { $0 != $1 } > 4, "\(name)")
    }
  }

  @Test("every kind is in the table")
  func complete() {
    for kind in MaskGenerator.Kind.allCases {
      #expect(
        MaskRow.all.contains { $0.kind.split(separator: ":")[0] == kind.rawValue }, "\(kind)")
    }
  }

  @Test("larger pictures have holes of the same share", arguments: ["thick", "boxes", "squares"])
  func scale(_ kind: String) throws {
    let generator = try MaskGenerator(kind)
    let means = try [64, 256].map { side in
      try (0..<64).reduce(0.0) {
        $0
          + (try generator.mask(
            ImageSize(width: side, height: side), seed: 1, index: $1, place: ""
          ).area) / 64
      }
    }
    #expect(abs(means[0] - means[1]) < 0.03, "\(means)")
  }

  @Test("wide pictures are cut anywhere")
  func wide() throws {
    let size = ImageSize(width: 96, height: 32)
    for kind in ["strokes", "boxes", "area", "outpaint", "superres", "squares"] {
      let generator = try MaskGenerator(kind)
      let masks = try (0..<64).map { try generator.mask(size, seed: 1, index: $0, place: "") }
      #expect(masks.allSatisfy { $0.size == size })
      #expect(masks.contains { mask in (64..<96).contains { mask.isHole($0, 16) } }, "\(kind)")
    }
  }

  @Test("a quarter to a half of the shape is hidden, by boxes and half-planes")
  func partialShape() throws {
    var shares: [Double] = []
    var boxes = 0
    for i in 0..<64 {
      let (map, hole) = (Self.set.mask(i), try mask("shape", i))
      let shape = map.labels.indices.filter { map.labels[$0] != 0 }
      let hidden = shape.count { hole.levels[$0] == 0 }
      shares.append(Double(hidden) / Double(shape.count))
      boxes += isBox(hole) ? 1 : 0
    }
    #expect((8...56).contains(boxes), "\(boxes)")
    #expect(shares.allSatisfy { (0.25...0.5).contains($0) })
    #expect(shares.max()! - shares.min()! > 0.2)
    let narrow = try (0..<8).map { i in
      let (map, hole) = (Self.set.mask(i), try mask("shape:hidden=0.6-0.65", i))
      let shape = map.labels.indices.filter { map.labels[$0] != 0 }
      return Double(shape.count { hole.levels[$0] == 0 }) / Double(shape.count)
    }
    #expect(narrow.allSatisfy { (0.6...0.65).contains($0) })
  }

  /// Whether the hole is all of the smallest box around it.
  private func isBox(_ mask: HoleMask) -> Bool {
    let pixels = mask.levels.indices.filter { mask.levels[$0] == 0 }
    let (x, y) = (pixels.map { $0 % mask.width }, pixels.map { $0 / mask.width })
    return pixels.count == (x.max()! - x.min()! + 1) * (y.max()! - y.min()! + 1)
  }

  @Test("a label, an object and its silhouette")
  func segments() throws {
    // Two squares of label 7 and one of label 9 on ground 0; the last row is unlabelled.
    var map = LabelMap(width: 24, height: 24, labels: [UInt8](repeating: 0, count: 576))
    func paint(_ x: Range<Int>, _ y: Range<Int>, _ label: UInt8) {
      for row in y { for column in x { map.labels[row * 24 + column] = label } }
    }
    paint(2..<6, 2..<6, 7)
    paint(14..<20, 3..<8, 7)
    paint(5..<11, 14..<20, 9)
    paint(0..<24, 23..<24, 255)
    func mask(_ kind: String, _ index: Int = 0) throws -> HoleMask {
      try MaskGenerator(kind).mask(
        ImageSize(width: 24, height: 24), map: map, seed: 4, index: index, place: "a.png")
    }
    func holes(_ mask: HoleMask) -> [Int] { mask.levels.indices.filter { mask.levels[$0] == 0 } }
    func pixels(_ label: UInt8) -> [Int] { map.labels.indices.filter { map.labels[$0] == label } }

    #expect(holes(try mask("label:label=7,grow=0")) == pixels(7))
    #expect(holes(try mask("label:label=9,grow=1")).count == 64)
    let drawn = try Set((0..<32).map { holes(try mask("label:grow=0", $0)) })
    #expect(drawn == [pixels(7), pixels(9)])
    let objects = try Set((0..<32).map { holes(try mask("object:grow=0", $0)).count })
    #expect(objects == [16, 30, 36])
    #expect(
      try Set((0..<8).map { holes(try mask("object:grow=0,areas=0.06-1", $0)).count })
        .isSubset(of: [36, 576 - 24 - 82]))
    // The square of label 9 alone has such an area: it moves, and leaves half of itself at least.
    let moved = try (0..<16).map { holes(try mask("silhouette:grow=0,areas=0.06-0.1", $0)) }
    for hole in moved {
      #expect((1...64).contains(hole.count))  // 6·1.25 pixels, to the next whole one
      #expect(hole.count { map.labels[$0] == 9 } <= 18)
    }
    #expect(Set(moved).count > 8)
    #expect {
      _ = try mask("label:label=3")
    } throws: {
      "\($0)" == "a.png: no pixel of label 3 in its map; expected one: the hole is what has this "
        + "label.\n  choose the pictures that have it (--subset), or let a label be drawn"
    }
  }

  @Test("a map of nothing, or none, is an error of the picture")
  func emptyMaps() throws {
    let size = ImageSize(width: 16, height: 16)
    func failure(_ kind: String, _ map: LabelMap?) -> String {
      do {
        _ = try MaskGenerator(kind).mask(size, map: map, seed: 1, index: 0, place: "a.png")
        return ""
      } catch { return "\(error)" }
    }
    func map(_ label: UInt8) -> LabelMap {
      LabelMap(width: 16, height: 16, labels: [UInt8](repeating: label, count: 256))
    }
    #expect(failure("shape", map(0)).hasPrefix("a.png: 0 pixels of a shape"))
    #expect(failure("object", map(255)).contains("without a labelled pixel"))
    #expect(failure("label", nil).hasPrefix("a.png: no label map"))
    #expect(failure("strokes:times=0", map(0)).isEmpty)  // LaMa draws one more than its bound
    #expect(failure("boxes:times=0", nil).hasPrefix("a.png: no hole in 100 draws of 16×16"))
  }

  @Test(
    "what a kind is not",
    arguments: [
      ("tick", "did you mean thick?"), ("boxes:size=3", "«size» of the kind boxes"),
      ("boxes:sides=9-3", "sides: «9-3»"), ("boxes:sides", "«sides»; expected name=value"),
      ("shape:hidden=0.5-2", "hidden: «0.5-2»"), ("strokes:times=x", "times: «x»"),
      ("mixed:mixed=1", "«mixed» of the kind mixed"), ("mixed:boxes=-1", "boxes: «-1»"),
      ("label:label=255", "a whole number from 0 to 254"),
    ])
  func wrongKinds(_ text: String, _ message: String) {
    #expect {
      _ = try MaskGenerator(text)
    } throws: { error in
      let error = error as? UserError
      return error?.status == .usage && "\(error!)".contains(message)
    }
  }
}
