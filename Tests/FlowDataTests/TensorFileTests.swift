import Diagnostics
import FlowData
import FlowTensor
import Foundation
import Testing

@Suite(.serialized)
struct TensorFileTests {
  @Test("good files give the expected tensors, bit for bit", arguments: FileCase.good)
  func reads(_ row: FileCase) throws {
    let source = try TensorFile.open(row.path)
    guard let expectedFile = row.expected else {
      let tensors = try #require(row.tensors)
      #expect(Set(source.names) == Set(tensors.keys))
      for (name, description) in tensors {
        let dims = try #require(description[1]?.array).compactMap(\.int)
        #expect(try source.shape(name) == Shape(dims))
        #expect(try torchName(source.dtype(name)) == description[0]?.string)
      }
      return try readAll(source)
    }
    let expected = try SafetensorsFile(FormatFixtures.file(expectedFile))
    let names = source.names.map(row.expectedName)
    // The arrays' file is that of many cases.
    let isShared = expectedFile == "arrays.expected.safetensors"
    // Of what may be refused, not everything is told.
    let isPart = row.expect == .either
    #expect(isShared ? !names.isEmpty : isPart || Set(names) == Set(expected.names))
    #expect(isShared || Set(expected.names).isSubset(of: names))
    for name in source.names where !isPart || expected.contains(name) {
      try compare(source, name, expected, row.expectedName(name))
    }
  }

  private func compare(
    _ source: any TensorSource, _ name: String, _ expected: SafetensorsFile, _ key: String
  ) throws {
    #expect(try source.shape(name) == expected.shape(key), "\(name)")
    let type = try source.dtype(name)
    if source.path.hasSuffix("stats_stored.npz"), name == "mu" {
      // Stored as float32 of the float64 that is expected.
      #expect(type == .f32)
      #expect(try source.doubles(name) == expected.doubles(key).map { Double(Float($0)) })
      return
    }
    #expect(try type == expected.dtype(key), "\(name)")
    let isEqual = try source.withBytes(name) { bytes in
      try expected.withBytes(key) { bytes.elementsEqual($0) }
    }
    #expect(isEqual, "the bytes of \(name)")
  }

  private func torchName(_ type: SafetensorsType) -> String? {
    [
      .f32: "torch.float32", .f64: "torch.float64", .u8: "torch.uint8", .i16: "torch.int16",
    ][type]
  }

  /// What the message on a hostile file must name: a place, and what stands there.
  static let refusals: [String: (place: String, found: String)] = [
    "bad_evil_os_system.pth": ("byte ", "posix.system"),
    "bad_evil_os_system_legacy.pth": ("byte ", "posix.system"),
    "bad_evil_eval.pth": ("byte ", "__builtin__.eval"),
    "bad_evil_eval_legacy.pth": ("byte ", "__builtin__.eval"),
    "bad_evil_popen.pth": ("byte ", "commands.Popen"),
    "bad_evil_popen_legacy.pth": ("byte ", "commands.Popen"),
    "bad_evil_exec.pth": ("byte ", "__builtin__.exec"),
    "bad_evil_exec_legacy.pth": ("byte ", "__builtin__.exec"),
    "bad_evil_npy.npy": ("byte 285", "posix.system"),
    "bad_truncated_60.pth": ("byte ", "no end of a zip directory"),
    "bad_truncated_tail.pth": ("byte ", "no end of a zip directory"),
    "bad_empty.pth": ("byte 0", "an empty file"),
    "bad_text.pth": ("byte 0", "a git-lfs pointer"),
    "bad_legacy_truncated.pth": ("byte ", "no whole storage"),
    "bad_crc.pth": ("member ", "CRC-32 0x"),
    "bad_huge_storage.pth": ("member ", "256 bytes"),
    "bad_shape_exceeds_storage.pth": ("byte ", "a tensor [80, 80]"),
    "bad_negative_size.pth": ("byte ", "unreadable extents"),
    "bad_stride_overflow.pth": ("byte ", "strides [4611686018427387904"),
    "bad_offset_out_of_range.pth": ("byte ", "from element 65535"),
    "bad_missing_storage.pth": ("member ", "missing"),
    "bad_pickle_truncated.pth": ("byte ", "ends in an instruction"),
    "bad_pickle_unknown_opcode.pth": ("byte 2 of member", "unknown opcode 255"),
    "bad_pickle_memo.pth": ("byte 2 of member", "memo entry 2147483647"),
    "bad_pickle_stack.pth": ("byte 2 of member", "finds the stack empty"),
    "bad_pickle_long_string.pth": ("byte 2 of member", "a string of 2147483647 bytes"),
    "bad_zip_bomb.pth": ("member ", "67108864 bytes"),
    "bad_zip_traversal.pth": ("member ", "missing"),
    "bad_other_zip.pth": ("", "a zip archive without data.pkl"),
    "bad_zip_directory_offset.pth": ("byte ", "a directory of "),
    "bad_npy_truncated.npy": ("byte 128", "bytes for shape"),
    "bad_npy_shape.npy": ("byte 128", "bytes for shape"),
    "bad_npy_header_code.npy": ("byte ", "a header that is not numpy's"),
    "bad_npy_header_length.npy": ("byte 8", "a header of "),
  ]

  @Test("hostile files are refused, and the message names the place", arguments: FileCase.bad)
  func refuses(_ row: FileCase) throws {
    let error = #expect(throws: UserError.self) { try readAll(TensorFile.open(row.path)) }
    #expect(error?.status == .badData)
    #expect(error?.subject == row.path)
    #expect(!FileManager.default.fileExists(atPath: "PICKLE_RAN_CODE"))
    // Those of safetensors have a table of their own.
    guard !row.file.hasSuffix(".safetensors") else { return }
    let expected = try #require(Self.refusals[row.file])
    let place = error?.place ?? ""
    let found = error?.found ?? ""
    #expect(place.hasPrefix(expected.place) && place.isEmpty == expected.place.isEmpty, "\(place)")
    #expect(found.contains(expected.found), "\(found)")
  }

  @Test(
    "files that explode when expanded end early",
    arguments: [
      ("bad_pickle_deep.pth", "levels deep"),
      ("bad_pickle_memo_bomb.pth", "bytes beside the tensors"),
    ])
  func explosions(_ file: String, _ found: String) throws {
    let error = #expect(throws: UserError.self) {
      try TensorFile.open(FormatFixtures.file(file))
    }
    #expect(error?.found.contains(found) == true, "\(error?.found ?? "")")
  }

  @Test(
    "what a checkpoint holds beside tensors is told as JSON",
    arguments: [
      ("content.pth", 0), ("content_legacy.pth", 0), ("lightning.ckpt", 0), ("protocol4.pth", 0),
      ("mixed_objects.pth", 1),
    ])
  func scalars(_ file: String, _ isPart: Int) throws {
    let row = try #require(FileCase.all.first { $0.file == file })
    let source = try TensorFile.open(row.path)
    let text = try #require(source.metadata["scalars"])
    var value = try JSONValue(parsing: text)
    let expected = try SafetensorsFile(FormatFixtures.file(try #require(row.expected)))
    let wanted = try JSONValue(parsing: try #require(expected.metadata["scalars"]))
    if isPart == 1 { value = .object(["list": try #require(value["list"])]) }
    #expect(value == withoutNamespaces(wanted))
  }

  /// The fixtures mark an argparse.Namespace; here it is a plain dictionary.
  private func withoutNamespaces(_ value: JSONValue) -> JSONValue {
    switch value {
    case .object(let members):
      if members.count == 1, let inner = members["<Namespace>"] {
        return withoutNamespaces(inner)
      }
      return .object(members.mapValues(withoutNamespaces))
    case .array(let elements): return .array(elements.map(withoutNamespaces))
    default: return value
    }
  }

  @Test("a plain state dictionary has its keys and nothing beside them")
  func plain() throws {
    let source = try TensorFile.open(FormatFixtures.file("model_475.pth"))
    #expect(source.format == .pytorch && source.metadata.isEmpty)
    #expect(source.names.first == "module.pos_embed")
    #expect(try TensorFile.open(FormatFixtures.file("model_legacy.pth")).format == .pytorchLegacy)
    let missing = #expect(throws: UserError.self) { try source.tensor("module.pos_embde") }
    #expect(missing?.advice == "the nearest name is module.pos_embed")
  }

  @Test("every refusal has a row")
  func rowsAreComplete() {
    #expect(FileCase.all.count > 90)
    let files = FileCase.bad.map(\.file).filter { !$0.hasSuffix(".safetensors") }
    #expect(Set(files) == Set(Self.refusals.keys))
  }
}
