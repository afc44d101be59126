import Diagnostics
import FlowData
import Foundation
import Testing

@Suite(.serialized)
struct LatentCachePartsTests {
  let scratch: ScratchFolder

  init() throws { scratch = try ScratchFolder() }

  private func description(
    _ source: String, count: Int, classes: [String] = ["disc", "ring"], extras: Bool = false
  ) -> LatentCacheDescription {
    var d = LatentCacheDescription(
      count: count, latentShape: [2, 2, 3], shardRows: 4, hasLogvar: true, hasFlips: true,
      hasLabels: true, classNames: classes, sourceFingerprint: source, sourcePath: source,
      autoencoderHash: "vae", scaleFactor: 0.5)
    if extras {
      d.masks = .init(height: 3, width: 5, classes: 4, fingerprint: "masks-\(source)")
      d.lowResolution = .init(size: 4, latentShape: [1, 1, 3])
    }
    return d
  }

  /// Element j of row i of each tensor tells tensor, row and place.
  private func write(_ writer: LatentCacheWriter, _ shard: Int, offset: Float = 0) throws {
    let (rows, d) = (writer.rows(shard), writer.description)
    func values(_ tensor: Float, _ count: Int) -> UnsafeMutablePointer<Float> {
      let base = UnsafeMutablePointer<Float>.allocate(capacity: rows.count * count)
      for (k, i) in rows.enumerated() {
        let first = (tensor < 0 ? 0 : offset) + tensor + Float(i)
        for j in 0..<count { base[k * count + j] = first + Float(j) / 32 }
      }
      return base
    }
    let bases = [0, -20, 100, -40].map { values($0, 12) } + [200, -60, 300, -80].map {
      values($0, 3)
    }
    defer { bases.forEach { $0.deallocate() } }
    var data = LatentRows(
      mean: bases[0], logvar: bases[1], meanFlip: bases[2], logvarFlip: bases[3],
      labels: rows.map { $0 % d.classNames.count })
    let masks = rows.flatMap { i in (0..<15).map { UInt8((i + $0) % 4) } }
    try masks.withUnsafeBufferPointer { masks in
      if d.masks != nil { data.masks = masks.baseAddress }
      if d.lowResolution != nil {
        data.low = MomentRows(mean: bases[4], logvar: bases[5])
        data.lowFlipped = MomentRows(mean: bases[6], logvar: bases[7])
      }
      try writer.write(shard: shard, data)
    }
  }

  private func make(
    _ folder: String, _ d: LatentCacheDescription, append: Bool = false, offset: Float = 0,
    disk: Disk = .local
  ) throws {
    let writer = try LatentCacheWriter(folder: folder, d, append: append, disk: disk)
    for shard in d.shards.indices where !writer.isDone(shard) {
      try write(writer, shard, offset: offset)
    }
    try writer.finish()
  }

  @Test("masks and low-resolution moments come back, in format 2; plain caches stay format 1")
  func extras() throws {
    let folder = scratch / "cache"
    try make(folder, description("a", count: 10, extras: true))
    let cache = try LatentCache(folder: folder)
    #expect(cache.index.format == 2)
    for i in [0, 3, 4, 9] {
      let (row, flip) = (cache.row(i), cache.row(i, flipped: true))
      #expect(row.lowMean?[2] == 200 + Float(i) + 2.0 / 32)
      #expect(row.lowLogvar?[0] == -60 + Float(i))
      #expect(flip.lowMean?[0] == 300 + Float(i) && flip.lowLogvar?[1] == -80 + Float(i) + 1.0 / 32)
      #expect(row.mask?[14] == UInt8((i + 14) % 4))
      let (map, mirror) = (try #require(cache.mask(i)), try #require(cache.mask(i, flipped: true)))
      #expect(map.width == 5 && map.height == 3)
      #expect(Array(map.labels[5..<10]) == mirror.labels[5..<10].reversed())
    }
    try cache.verify()
    try make(scratch / "plain", description("a", count: 10))
    let plain = try LatentCache(folder: scratch / "plain")
    #expect(plain.index.format == 1 && plain.row(0).mask == nil && plain.row(0).lowMean == nil)
  }

  @Test("appended rows follow, shard for shard as they would stand alone")
  func append() throws {
    let folder = scratch / "cache"
    try make(folder, description("a", count: 6))
    try make(
      folder, description("b", count: 9, classes: ["disc", "ring", "star"]), append: true,
      offset: 1000)
    let cache = try LatentCache(folder: folder)
    #expect(cache.count == 15 && cache.classCount == 3 && cache.index.format == 2)
    #expect(cache.index.shardRows == [0..<4, 4..<6, 6..<10, 10..<14, 14..<15])
    #expect(cache.index.encodings.map(\.sourceFingerprint) == ["a", "b"])
    for i in 0..<15 {
      let expected: Float = i < 6 ? Float(i) : 1000 + Float(i - 6)
      #expect(cache.row(i).mean[0] == expected)
      #expect(cache.row(i, flipped: true).mean[0] == expected + 100)
      #expect(cache.row(i).label == (i < 6 ? i % 2 : (i - 6) % 3))
    }
    try cache.verify()
    let audit = try LatentCacheAudit(folder: folder)
    try audit.checkStatistics(try cache.index.shards.indices.map { try audit.check($0) })
    // A third time, and mending a part, keep the others.
    try make(
      folder, description("c", count: 3, classes: ["disc", "ring", "star"]), append: true,
      offset: 2000)
    try flipBit(inByte: 500, of: folder + "/shard-00002.safetensors")
    try make(
      folder, description("b", count: 9, classes: ["disc", "ring", "star"]), append: true,
      offset: 1000)
    let mended = try LatentCache(folder: folder)
    #expect(mended.count == 18 && mended.row(17).mean[0] == 2002)
    try mended.verify()
  }

  @Test("an append that was killed leaves the old cache, and goes on to the same bytes")
  func killedAnywhere() throws {
    let d = description("b", count: 5)
    try make(scratch / "whole", description("a", count: 6))
    try make(scratch / "whole", d, append: true, offset: 50)
    let names = try FileManager.default.contentsOfDirectory(atPath: scratch / "whole").sorted()
    var (stop, completed) = (0, false)
    while !completed {
      let folder = scratch / "cache-\(stop)"
      try make(folder, description("a", count: 6))
      do {
        try make(folder, d, append: true, offset: 50, disk: dyingDisk(after: stop))
        completed = true
      } catch is SafetensorsWriteTests.Killed {
        let cache = try LatentCache(folder: folder)
        #expect([6, 11].contains(cache.count) && cache.row(5).mean[0] == 5, "stop \(stop)")
        try cache.verify()
      }
      try make(folder, d, append: true, offset: 50)
      for name in names {
        let expected = try FileRecord(ofFile: scratch / "whole/\(name)")
        #expect(
          try FileRecord(ofFile: folder + "/\(name)") == expected, "stop \(stop): \(name)")
      }
      stop += 1
    }
    #expect(stop > 30)
  }

  typealias Difference = (name: String, change: @Sendable (inout LatentCacheDescription) -> Void)

  static let differences: [Difference] = [
    ("latentShape", { $0.latentShape = [2, 2, 4] }), ("shardRows", { $0.shardRows = 8 }),
    ("hasFlips", { $0.hasFlips = false }), ("hasLogvar", { $0.hasLogvar = false }),
    ("hasLabels", { $0.hasLabels = false }), ("classNames", { $0.classNames = ["ring"] }),
    ("autoencoderHash", { $0.autoencoderHash = "other" }), ("scaleFactor", { $0.scaleFactor = 1 }),
    ("masks", { $0.masks = .init(height: 1, width: 1, classes: 2) }),
    ("lowResolution", { $0.lowResolution = .init(size: 4, latentShape: [1, 1, 3]) }),
  ]

  @Test("rows of another kind are not appended, and nothing changes", arguments: differences)
  func refuses(_ row: Difference) throws {
    let folder = scratch / "cache"
    try make(folder, description("a", count: 6))
    let before = try FileRecord(ofFile: folder + "/index.json")
    var d = description("b", count: 5)
    row.change(&d)
    let error = #expect(throws: UserError.self) {
      try LatentCacheWriter(folder: folder, d, append: true)
    }
    #expect(error?.status == .usage && error?.place == row.name)
    #expect(try FileRecord(ofFile: folder + "/index.json") == before)
  }

  @Test("nothing is appended to nothing")
  func nothing() throws {
    let error = #expect(throws: UserError.self) {
      try LatentCacheWriter(
        folder: scratch / "none", description("a", count: 6), append: true)
    }
    #expect(error?.status == .missingInput)
  }
}

/// A picture whose every pixel says which label it has, and the map of those labels: what a fit
/// does to both must agree where the fit does not mix pixels.
@Suite struct FittedMapTests {
  @Test(
    "a fitted map lies under its fitted picture",
    arguments: [
      (ImageFit.centerCrop(16), 96, 64, 1), (.resizeCrop(16), 64, 96, 1),
      (.randomCrop(24, seed: 3), 128, 96, 1), (.stretch(16, .box), 64, 64, 2),
      (.centerCrop(32), 72, 64, 2),
    ] as [(ImageFit, Int, Int, Int)])
  func agrees(_ fit: ImageFit, _ width: Int, _ height: Int, _ coarser: Int) {
    // Two halves, the border a quarter from the left: left is 0, right 1.
    func value(_ x: Int, _ width: Int) -> UInt8 { 4 * x < width ? 0 : 1 }
    var image = ImageBuffer(width: width, height: height, gray: 0)
    for y in 0..<height {
      for x in 0..<width { image[x, y] = SIMD3(repeating: 255 * value(x, width)) }
    }
    let (w, h) = (width / coarser, height / coarser)
    let map = LabelMap(
      width: w, height: h, labels: (0..<h).flatMap { _ in (0..<w).map { value($0, w) } })
    for index in 0..<4 {
      let (picture, labels) = (
        image.fitted(fit, index: index), map.fitted(fit, image: image.size, index: index)
      )
      #expect(labels.width == picture.width && labels.height == picture.height)
      var mixed = 0
      for y in 0..<picture.height {
        for x in 0..<picture.width {
          let level = picture[x, y].x
          if (40...215).contains(level) { mixed += 1; continue }
          #expect((level > 127 ? 1 : 0) == labels.labels[y * labels.width + x], "(\(x), \(y))")
        }
      }
      #expect(mixed <= 2 * picture.height)
    }
  }
}
