import Diagnostics
import FlowData
import FlowTensor
import Foundation
import Testing

@Suite(.serialized)
struct SafetensorsWriteTests {
  let scratch: ScratchFolder
  let floats: [Float] = [1, 2, 3, 4, 5, 6]
  let labels: [Int64] = [7, 8]

  init() throws { scratch = try ScratchFolder() }

  /// `order` permutes the tensors as they are given.
  private func write(_ name: String, _ order: [Int], _ metadata: [String: String] = [:]) throws
    -> FileRecord
  {
    try floats.withUnsafeBufferPointer { f in
      try labels.withUnsafeBytes { l in
        let tensors = [
          SafetensorsTensor("b.weight", [2, 3], f.baseAddress!),
          SafetensorsTensor("B", [1], f.baseAddress! + 5),
          SafetensorsTensor("é\"", .i64, [2], l),
          SafetensorsTensor("a", .u8, [3], UnsafeRawBufferPointer(rebasing: l[..<3])),
        ]
        return try SafetensorsWriter.write(
          order.map { tensors[$0] }, metadata: metadata, to: scratch / name)
      }
    }
  }

  @Test("the file is canonical: data aligned, header sorted by bytes, any order of arguments")
  func canonical() throws {
    let one = try write("one", [0, 1, 2, 3], ["step": "20", "a\n": "\u{1}"])
    let two = try write("two", [3, 2, 1, 0], ["a\n": "\u{1}", "step": "20"])
    #expect(one == two)
    let bytes = try Data(contentsOf: URL(fileURLWithPath: scratch / "one"))
    #expect(try bytes == Data(contentsOf: URL(fileURLWithPath: scratch / "two")))
    #expect(bytes.withUnsafeBytes { sha256Hex(of: $0) } == one.sha256)
    #expect(bytes.count == one.bytes)
    let header =
      #"{"__metadata__":{"a\n":"\u0001","step":"20"},"#
      + #""B":{"dtype":"F32","shape":[1],"data_offsets":[16,20]},"#
      + #""a":{"dtype":"U8","shape":[3],"data_offsets":[44,47]},"#
      + #""b.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[20,44]},"#
      + #""é\"":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}}"#
    let length = bytes.withUnsafeBytes { Int($0.loadUnaligned(as: UInt64.self)) }
    #expect(length % 8 == 0)
    let text = String(decoding: bytes[8..<8 + length], as: UTF8.self)
    #expect(text.trimmingCharacters(in: .whitespaces) == header)
    let file = try SafetensorsFile(scratch / "one")
    #expect(try file.tensor("b.weight").values == floats)
    #expect(try file.ints("é\"") == [7, 8])
    #expect(try Array(file.floats("B")) == [6])
    #expect(file.metadata == ["step": "20", "a\n": "\u{1}"])
  }

  @Test("a full disk names the file, the place and the room left")
  func fullDisk() throws {
    let error = #expect(throws: UserError.self) {
      try floats.withUnsafeBufferPointer {
        try SafetensorsWriter.write(
          [SafetensorsTensor("a", [6], $0.baseAddress!)], to: "/dev/full")
      }
    }
    #expect(error?.status == .io)
    #expect(error?.subject == "/dev/full")
    #expect(error?.found.contains("No space left on device") == true)
    #expect(error?.found.contains("bytes free there") == true)
  }

  struct Killed: Error {}

  @Test("an atomic write leaves the old file or the new one, whatever operation is the last")
  func atomicFile() throws {
    let path = scratch / "value"
    var completed = false
    var stop = 0
    while !completed {
      try Disk.local.writeAtomically(Array("old".utf8), to: path)
      let disk = dyingDisk(after: stop)
      completed = (try? disk.writeAtomically(Array("new".utf8), to: path)) != nil
      let text = try String(contentsOfFile: path, encoding: .utf8)
      // 0 create, 1 write, 2 sync, 3 rename, 4 sync of the folder
      #expect(text == (stop <= 3 ? "old" : "new"), "stopped before operation \(stop)")
      stop += 1
    }
    #expect(stop == 6)
    // The last try left nothing beside the file; drafts of the same process replace each other.
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["value"])
  }

  @Test("an atomic folder appears whole")
  func atomicFolder() throws {
    let folder = try AtomicFolder(scratch / "deep/set")
    try Disk.local.writeAtomically([1], to: folder.draft + "/a")
    #expect(!FileManager.default.fileExists(atPath: folder.path))
    try folder.commit()
    #expect(FileManager.default.fileExists(atPath: folder.path + "/a"))
    let taken = #expect(throws: UserError.self) { try AtomicFolder(folder.path) }
    #expect(taken?.found == "exists already")
  }
}

/// A disk on which the process dies, so to speak, before operation `limit` (from 0): that one and
/// all later ones, those of clean-ups too, fail.
func dyingDisk(after limit: Int) -> Disk {
  final class Count: @unchecked Sendable { var value = 0 }
  let done = Count()
  return Disk { _ in
    guard done.value < limit else { throw SafetensorsWriteTests.Killed() }
    done.value += 1
  }
}
