import Diagnostics
import FlowData
import Foundation
import Testing

@Suite(.serialized)
struct LatentCacheTests {
  let scratch: ScratchFolder

  init() throws { scratch = try ScratchFolder() }

  private func description(count: Int = 10, identity: Bool = false) -> LatentCacheDescription {
    LatentCacheDescription(
      count: count, latentShape: [2, 2, 3], shardRows: 4, hasLogvar: !identity, hasFlips: !identity,
      hasLabels: !identity, classNames: identity ? [] : ["disc", "ring"],
      sourceFingerprint: "images-1", sourcePath: "images", autoencoderHash: "vae-1",
      scaleFactor: 0.5)
  }

  /// Element (row, j) of each tensor is a function of its place.
  private func rows(_ range: Range<Int>, _ offset: Float) -> [Float] {
    range.flatMap { row in (0..<12).map { offset + Float(row) + Float($0) / 16 } }
  }

  private func write(_ writer: LatentCacheWriter, _ shard: Int) throws {
    let range = writer.rows(shard)
    let mean = rows(range, 0)
    let logvar = rows(range, -20)
    let meanFlip = rows(range, 100)
    let logvarFlip = rows(range, -40)
    let full = writer.description.hasLogvar
    try mean.withUnsafeBufferPointer { m in
      try logvar.withUnsafeBufferPointer { l in
        try meanFlip.withUnsafeBufferPointer { mf in
          try logvarFlip.withUnsafeBufferPointer { lf in
            try writer.write(
              shard: shard,
              LatentRows(
                mean: m.baseAddress!, logvar: full ? l.baseAddress : nil,
                meanFlip: full ? mf.baseAddress : nil, logvarFlip: full ? lf.baseAddress : nil,
                labels: full ? range.map { $0 % 2 } : nil))
          }
        }
      }
    }
  }

  @discardableResult
  private func make(_ folder: String, order: [Int] = [0, 1, 2]) throws -> LatentCacheWriter {
    let writer = try LatentCacheWriter(folder: folder, description())
    for shard in order { try write(writer, shard) }
    try writer.finish()
    return writer
  }

  @Test("rows come back from where they were put")
  func roundTrip() throws {
    let folder = scratch / "cache"
    try make(folder)
    let cache = try LatentCache(folder: folder)
    #expect(cache.count == 10 && cache.latentShape == [2, 2, 3] && cache.classCount == 2)
    for i in 0..<10 {
      let row = cache.row(i)
      #expect(Array(UnsafeBufferPointer(start: row.mean, count: 12)) == rows(i..<i + 1, 0))
      #expect(row.logvar?[11] == rows(i..<i + 1, -20)[11])
      #expect(row.label == i % 2)
      let flip = cache.row(i, flipped: true)
      #expect(flip.mean[5] == rows(i..<i + 1, 100)[5])
      #expect(flip.logvar?[0] == rows(i..<i + 1, -40)[0])
    }
    try cache.verify()
    try cache.check(sourceFingerprint: "images-1", autoencoderHash: "vae-1")
  }

  @Test("channel statistics are those of the scaled latents, posterior variance included")
  func statistics() throws {
    let folder = scratch / "cache"
    try make(folder)
    let index = try LatentCache(folder: folder).index
    for c in 0..<3 {
      func channel(_ values: [Float]) -> [Double] {
        stride(from: c, to: values.count, by: 3).map { Double(values[$0]) }
      }
      let mean = channel(rows(0..<10, 0))
      let logvar = channel(rows(0..<10, -20))
      let average = mean.reduce(0, +) / 40
      let variance = mean.reduce(0) { $0 + ($1 - average) * ($1 - average) } / 40
      let posterior = logvar.reduce(0) { $0 + exp($1) } / 40
      #expect(abs(index.channelMean[c] - 0.5 * average) < 1e-12)
      #expect(abs(index.channelDeviation[c] - 0.5 * (variance + posterior).squareRoot()) < 1e-12)
    }
  }

  @Test("an identity first stage has rows without variance, flips and labels")
  func identity() throws {
    let writer = try LatentCacheWriter(folder: scratch / "pixels", description(identity: true))
    for shard in 0..<3 { try write(writer, shard) }
    try writer.finish()
    let cache = try LatentCache(folder: scratch / "pixels")
    withExtendedLifetime(cache) {
      let row = cache.row(9)
      #expect(row.logvar == nil && row.label == nil && row.mean[11] == 9 + 11.0 / 16)
    }
  }

  @Test("files do not depend on who wrote which shard when")
  func canonical() throws {
    try make(scratch / "a")
    try make(scratch / "b", order: [2, 0, 1, 0])
    let names = try FileManager.default.contentsOfDirectory(atPath: scratch / "a").sorted()
    #expect(names.count == 7)
    #expect(try names == FileManager.default.contentsOfDirectory(atPath: scratch / "b").sorted())
    for name in names {
      let (a, b) = (scratch / "a/\(name)", scratch / "b/\(name)")
      #expect(try FileRecord(ofFile: a) == FileRecord(ofFile: b))
    }
  }

  @Test("finished shards are kept, damaged and foreign ones are not")
  func resume() throws {
    let folder = scratch / "cache"
    let writer = try LatentCacheWriter(folder: folder, description())
    #expect(LatentCacheWriter.plan(count: 10, shardRows: 4) == [0..<4, 4..<8, 8..<10])
    try write(writer, 0)
    try write(writer, 2)
    let again = try LatentCacheWriter(folder: folder, description())
    #expect((0..<3).map { again.isDone($0) } == [true, false, true])
    let unfinished = #expect(throws: UserError.self) { try again.finish() }
    #expect(unfinished?.subject.hasSuffix("shard-00001.safetensors") == true)
    let none = #expect(throws: UserError.self) { try LatentCache(folder: folder) }
    #expect(none?.status == .missingInput)

    try flipBit(inByte: 500, of: folder + "/shard-00000.safetensors")
    #expect(!again.isDone(0))
    var other = description()
    other.autoencoderHash = "vae-2"
    #expect(try !LatentCacheWriter(folder: folder, other).isDone(2))
    var moved = description()
    moved.sourcePath = "elsewhere"
    #expect(try LatentCacheWriter(folder: folder, moved).isDone(2))
  }

  @Test("an index of another encoding goes before its shards change")
  func foreignIndex() throws {
    let folder = scratch / "cache"
    try make(folder)
    _ = try LatentCacheWriter(folder: folder, description())
    #expect(FileManager.default.fileExists(atPath: folder + "/index.json"))
    var other = description()
    other.sourceFingerprint = "images-2"
    _ = try LatentCacheWriter(folder: folder, other)
    #expect(!FileManager.default.fileExists(atPath: folder + "/index.json"))
  }

  @Test("a shard appears whole, whatever operation is the last")
  func killedAnywhere() throws {
    var stop = 0
    var completed = false
    while !completed {
      let folder = scratch / "cache-\(stop)"
      let disk = dyingDisk(after: stop)
      do {
        try write(try LatentCacheWriter(folder: folder, description(), disk: disk), 0)
        completed = true
      } catch is SafetensorsWriteTests.Killed {}
      let writer = try LatentCacheWriter(folder: folder, description())
      // 14 gives the JSON file of the shard its name, 15 makes that durable.
      #expect(writer.isDone(0) == (stop > 14), "stopped before operation \(stop)")
      for shard in 0..<3 where !writer.isDone(shard) { try write(writer, shard) }
      try writer.finish()
      try LatentCache(folder: folder).verify()
      stop += 1
    }
    #expect(stop == 17)
  }

  @Test("what no longer fits its images or autoencoder is told with both hashes")
  func check() throws {
    try make(scratch / "cache")
    let cache = try LatentCache(folder: scratch / "cache")
    let images = #expect(throws: UserError.self) {
      try cache.check(sourceFingerprint: "images-2", autoencoderHash: "vae-1")
    }
    #expect(images?.description.contains("images-1") == true)
    #expect(images?.expected == "images-2")
    let encoder = #expect(throws: UserError.self) {
      try cache.check(sourceFingerprint: "images-1", autoencoderHash: "vae-2")
    }
    #expect(encoder?.place == "autoencoder")
    #expect(encoder?.found.contains("vae-1") == true)
  }

  typealias Damage = (what: String, change: @Sendable (String) throws -> Void, message: String)

  static let damages: [Damage] = [
    ("a cut shard", { truncate($0 + "/shard-00001.safetensors", 400) }, "400 bytes"),
    ("a missing shard", { unlink($0 + "/shard-00002.safetensors") }, "shard-00002.safetensors"),
    ("too few labels", { try rewrite($0, labels: [0, 1, 0]) }, "3 labels; expected 4, one per row"),
    ("a label out of range", { try rewrite($0, labels: [0, 1, 2, 0]) },
      "label of image 6: 2; expected 0 to 1"),
    ("a negative label", { try rewrite($0, labels: [-1, 1, 1, 0]) }, "label of image 4: -1"),
    ("another shape", { try rewrite($0, labels: [0, 1, 1, 0], columns: 4) }, "shape [4, 2, 4, 3]"),
    ("an index of more rows", { try edit($0, "\"count\" : 10", "\"count\" : 14") }, "3 shards"),
    ("an index without a field", { try edit($0, "\"scaleFactor\"", "\"factor\"") }, "scaleFactor"),
    ("an index of a later format", { try edit($0, "\"format\" : 1", "\"format\" : 9") },
      "format: 9; expected 1"),
    ("a cut index", { truncate($0 + "/index.json", 30) }, "byte 30"),
  ]

  @Test("damaged caches are refused when opened", arguments: damages)
  func refuses(_ row: Damage) throws {
    let folder = scratch / "cache"
    try make(folder)
    try row.change(folder)
    let error = #expect(throws: UserError.self) { try LatentCache(folder: folder) }
    let text = error?.description ?? ""
    #expect(text.contains(row.message), "\(row.what): \(text)")
    #expect(error?.subject.hasPrefix(folder) == true)
  }

  @Test("a flipped bit is found by verify, and encoding again mends that shard")
  func verify() throws {
    let folder = scratch / "cache"
    let writer = try make(folder)
    try flipBit(inByte: 500, of: folder + "/shard-00001.safetensors")
    let error = #expect(throws: UserError.self) { try LatentCache(folder: folder).verify() }
    #expect(error?.subject.hasSuffix("shard-00001.safetensors") == true)
    #expect((0..<3).map { writer.isDone($0) } == [true, false, true])
    try write(writer, 1)
    try LatentCache(folder: folder).verify()
  }

  @Test("no images, and labels out of range, are refused when written")
  func refusedRows() throws {
    let none = #expect(throws: UserError.self) {
      try LatentCacheWriter(folder: scratch / "none", description(count: 0))
    }
    #expect(none?.found == "no images")
    var narrow = description()
    narrow.classNames = ["disc"]
    let writer = try LatentCacheWriter(folder: scratch / "narrow", narrow)
    let label = #expect(throws: UserError.self) { try write(writer, 1) }
    #expect(label?.place == "image 5")
    #expect(label?.found == "label 1")
  }
}

private func truncate(_ path: String, _ count: Int) { _ = Foundation.truncate(path, off_t(count)) }

private func edit(_ folder: String, _ old: String, _ new: String) throws {
  let path = folder + "/index.json"
  let text = try String(contentsOfFile: path, encoding: .utf8)
  #expect(text.contains(old))
  try text.replacingOccurrences(of: old, with: new)
    .write(toFile: path, atomically: false, encoding: .utf8)
}

/// Replaces shard 1, with an index that takes the new size for the right one.
private func rewrite(_ folder: String, labels: [Int64], columns: Int = 2) throws {
  let path = folder + "/shard-00001.safetensors"
  let old = try FileRecord(ofFile: path)
  let values = [Float](repeating: 0, count: 4 * 2 * columns * 3)
  let new = try values.withUnsafeBufferPointer { v in
    try labels.withUnsafeBytes { l in
      let names = ["mean", "logvar", "mean_flip", "logvar_flip"]
      return try SafetensorsWriter.write(
        names.map { SafetensorsTensor($0, [4, 2, columns, 3], v.baseAddress!) }
          + [SafetensorsTensor("labels", .i64, [labels.count], l)], to: path)
    }
  }
  let indexPath = folder + "/index.json"
  let value = try JSONValue(parsing: try String(contentsOfFile: indexPath, encoding: .utf8))
  var members = try #require(value.object)
  var shards = try #require(members["shards"]?.array)
  #expect(shards[1]["sha256"]?.string == old.sha256)
  shards[1] = .object(["bytes": .integer(new.bytes), "sha256": .string(new.sha256)])
  members["shards"] = .array(shards)
  try JSONEncoder().encode(JSONValue.object(members)).write(to: URL(fileURLWithPath: indexPath))
}
