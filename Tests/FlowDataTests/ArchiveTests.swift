import Diagnostics
import FlowData
import Foundation
import Testing

@Suite("Tar and LMDB") struct ArchiveTests {
  @Test(
    "shards give the pictures and fields of the reference",
    arguments: [("shard-000000.tar", 3), ("shard-000001.tar", 2), ("shard-000002.tar", 2)])
  func shard(_ row: (file: String, count: Int)) throws {
    let expected = try ReferenceBytes("files/shards.expected.safetensors")
    let set = try WebDataset(FormatFixtures.file(row.file))
    #expect(set.count == row.count)
    for i in 0..<set.count {
      let (shape, planes) = try expected.floats("\(set.key(i)).image")
      let image = try set.image(i)
      #expect(shape == [3, image.height, image.width])
      let area = image.width * image.height
      let differs = image.pixels.enumerated().contains { at, level in
        abs(Float(level) / 255 * 2 - 1 - planes[at % 3 * area + at / 3]) > 1e-6
      }
      #expect(!differs, "\(set.key(i))")
      #expect(set.fields(i) == [
        "image.png", "latent.npy", "latent_lowres.npy", "json", "txt", "cls",
      ])
      let number = try #require(Int(set.key(i).suffix(6)))
      #expect(set.label(i) == number % 3)
      #expect(set.field(i, "txt") == Array("text \(number)".utf8))
      // The header of an array is padded; the values end the file.
      let latent = try #require(set.field(i, "latent.npy"))
      let values = try expected.bytes("\(set.key(i)).latent").data
      #expect(latent.suffix(values.count).elementsEqual(values))
      #expect(set.field(i, "mp4") == nil)
    }
  }

  @Test func bracesNameShards() throws {
    let pattern = FormatFixtures.file("shard-{000000..000002}.tar")
    let set = try WebDataset(pattern)
    #expect(set.count == 7 && set.classNames == ["0", "1", "2"])
    #expect(set.name(0) == "shard-000000.tar/000000")
    #expect(Set((0..<7).map(set.name)).count == 7)
    let rows: [(String, [String])] = [
      ("a.tar", ["a.tar"]), ("{a,b}-{8..10}", ["a-8", "a-9", "a-10", "b-8", "b-9", "b-10"]),
      ("s{08..10}", ["s08", "s09", "s10"]),
    ]
    for (pattern, names) in rows { #expect(try BraceExpansion.names(pattern) == names) }
    for wrong in ["{a", "a}", "{}", "{3..1}", "{a..c}", "{{1..2}}", "{0..99999999}", "{1..-1}"] {
      #expect(try userError { _ = try BraceExpansion.names(wrong) }.status == .usage, "\(wrong)")
    }
  }

  @Test(
    "broken archives say where",
    arguments: [
      ("bad_tar_truncated.tar", "byte 1024", "bytes of data, and the file ends after"),
      ("bad_tar_checksum.tar", "byte 0", "a header whose bytes add up to"),
    ])
  func brokenTar(_ row: (file: String, place: String, found: String)) throws {
    let error = try userError { _ = try TarArchive(FormatFixtures.file(row.file)) }
    #expect(error.status == .badData && error.place == row.place)
    #expect(error.found.contains(row.found), "\(error)")
  }

  /// What is no plain file with a plain name never becomes a member.
  @Test(
    "tricks",
    arguments: [
      ("../up.png", "0", "the name"), ("/abs.png", "0", "the name"), ("a/../../b", "0", "the name"),
      ("a\\b", "0", "the name"), ("l.png", "1", "a hard link"), ("l.png", "2", "a symbolic link"),
      ("p.png", "6", "a pipe"), ("d.png", "3", "a device"), ("s.png", "S", "a sparse file"),
      ("x.png", "V", "a member of type"),
    ])
  func tricks(_ row: (name: String, type: String, found: String)) throws {
    let scratch = try ScratchFolder()
    let path = scratch / "t.tar"
    var bytes = tarHeader(row.name, type: row.type.utf8.first!, size: 0)
    bytes += [UInt8](repeating: 0, count: 1024)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let error = try userError { _ = try TarArchive(path) }
    #expect(error.status == .badData && error.found.contains(row.found), "\(error)")
  }

  /// Cut anywhere, an archive is an error; changed anywhere, it is one or reads, but never crashes.
  @Test(arguments: ["shard-000000.tar", "shard-000001.tar", "shard-000002.tar"])
  func damagedTar(_ name: String) throws {
    let scratch = try ScratchFolder()
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: FormatFixtures.file(name))))
    // The last member's padding is followed by empty blocks: what is cut off there is nothing.
    let end = bytes.lastIndex { $0 != 0 }!
    let path = scratch / "t.tar"
    for count in stride(from: 0, through: end, by: 1021) {
      try Data(bytes[..<count]).write(to: URL(fileURLWithPath: path))
      #expect(throws: UserError.self) { _ = try WebDataset(path) }
    }
    for at in stride(from: 0, to: end, by: 307) {
      var changed = bytes
      changed[at] ^= UInt8(1 + at % 255)
      try Data(changed).write(to: URL(fileURLWithPath: path))
      guard let set = try? WebDataset(path) else { continue }
      for i in 0..<set.count { _ = try? set.image(i) }
    }
  }

  @Test(
    "databases give the pictures of the reference",
    arguments: [
      ("lfm_lmdb/train.lmdb", "train", 40), ("lfm_lmdb/validation.lmdb", "validation", 5),
      ("lsun/church_outdoor_train_lmdb", "lsun", 4),
    ])
  func database(_ row: (folder: String, key: String, count: Int)) throws {
    let expected = try ReferenceBytes("files/lmdb.expected.safetensors")
    let set = try LMDBImages(FormatFixtures.file(row.folder))
    #expect(set.count == row.count && set.classNames == nil)
    for i in 0..<set.count {
      #expect(try set.image(i) == expected.image("\(row.key).\(i)"), "\(set.name(i))")
      #expect(row.key == "lsun" ? set.name(i).count == 40 : set.name(i) == "\(i)")
    }
    let file = try LMDBFile(FormatFixtures.file(row.folder))
    for entry in 0..<file.count { #expect(file.find(file.key(entry)) == entry) }
    #expect(file.find("zz".utf8) == nil && file.find("".utf8) == nil)
  }

  @Test(
    "broken databases are refused",
    arguments: [
      ("bad_lmdb_truncated", "beyond the end of the file"), ("bad_lmdb_magic", "no mark of LMDB"),
    ])
  func brokenDatabase(_ row: (folder: String, found: String)) throws {
    let error = try userError { _ = try LMDBImages(FormatFixtures.file(row.folder)) }
    #expect(error.status == .badData && error.place != nil)
    #expect(error.found.contains(row.found), "\(error)")
  }

  /// Cut at any page or changed at any byte, a database is an error or reads; it never crashes.
  @Test(arguments: ["lfm_lmdb/train.lmdb", "lsun/church_outdoor_train_lmdb"])
  func damagedDatabase(_ name: String) throws {
    let scratch = try ScratchFolder()
    let source = URL(fileURLWithPath: FormatFixtures.file("\(name)/data.mdb"))
    let bytes = [UInt8](try Data(contentsOf: source))
    let path = scratch / "data.mdb"
    for count in stride(from: 0, to: bytes.count - 4096, by: 4093) {
      try Data(bytes[..<count]).write(to: URL(fileURLWithPath: path))
      if let set = try? LMDBImages(path) {
        for i in 0..<set.count { _ = try? set.image(i) }
      }
    }
    var state: UInt64 = 9
    for _ in 0..<120 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      // Most changes where the structure is: in the first bytes of pages.
      let page = Int(state >> 33) % (bytes.count / 4096)
      let at = page * 4096 + Int(state >> 50) % (state & 1 == 0 ? 200 : 4096)
      var changed = bytes
      changed[at] = UInt8(truncatingIfNeeded: state >> 20)
      try Data(changed).write(to: URL(fileURLWithPath: path))
      guard let set = try? LMDBImages(path) else { continue }
      for i in 0..<set.count { _ = try? set.image(i) }
    }
  }
}

/// A ustar header of a member.
func tarHeader(_ name: String, type: UInt8, size: Int) -> [UInt8] {
  var header = [UInt8](repeating: 0, count: 512)
  header.replaceSubrange(0..<name.utf8.count, with: name.utf8)
  header.replaceSubrange(124..<135, with: String(1 << 33 + size, radix: 8).suffix(11).utf8)
  header.replaceSubrange(257..<265, with: "ustar\u{0}00".utf8)
  header[156] = type
  let sum = header.reduce(8 * 32) { $0 + Int($1) }
  header.replaceSubrange(148..<154, with: String(1 << 18 + sum, radix: 8).suffix(6).utf8)
  return header
}
