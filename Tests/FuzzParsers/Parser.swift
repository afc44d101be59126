import Diagnostics
import FlowData
import Foundation

/// A parser of bytes from strangers, with files to begin from. A new parser is a row of `all`.
struct Parser: Sendable {
  let name: String
  /// Names of fixtures in `files/`; none above 48 KiB.
  let seeds: [String]
  /// A member of the seeds, which are zip archives, to take in their place.
  var member: String?
  /// Reads everything there is to read. A `UserError` is a refusal; anything else is a defect.
  let parse: @Sendable (UnsafeRawBufferPointer) throws -> Void

  static let all = [
    Parser(
      name: "safetensors",
      seeds: fixtures([".safetensors"], without: ["deep_json", "header_over", ".expected."])
        + ["dtypes_views.expected.safetensors", "content.pth.expected.safetensors"]
    ) { try readAll(TensorFile.parse(unowned: $0, path: "input.safetensors")) },
    Parser(
      name: "zip",
      seeds: fixtures([".npz"], without: []) + [
        "dtypes_views.pth", "model_deflated_zip.pth", "bare_tensor.pt", "bad_zip_traversal.pth",
        "bad_zip_directory_offset.pth", "content.pth",
      ]
    ) { try readAll(TensorFile.parse(unowned: $0, path: "input.pth")) },
    Parser(
      name: "pickle",
      seeds: fixtures(
        [".pth", ".ckpt", ".pt"],
        without: ["legacy", "bad_t", "bad_e", "bomb", "deep", "bad_other", "bad_zip"]),
      member: "data.pkl"
    ) { try TensorFile.probe(pickle: $0, path: "input.pkl") },
    Parser(
      name: "legacy pickle", seeds: fixtures(["_legacy.pth", "_legacy_truncated.pth"], without: [])
    ) { try readAll(TensorFile.parse(unowned: $0, path: "input.pth")) },
    Parser(name: "npy", seeds: fixtures([".npy"], without: [])) {
      try readAll(TensorFile.parse(unowned: $0, path: "input.npy"))
    },
    Parser(
      name: "pictures",
      seeds: fixtures(["_rgb8.png", "interlaced.png", "rgba8.png", "gray16.png"], without: ["bad"])
        + fixtures([".jpg", ".webp"], without: [])
    ) { _ = try ImageBuffer(encoded: Array($0), name: "input", exif: .apply) },
    Parser(name: "tar", seeds: fixtures([".tar"], without: [])) {
      let archive = try TarArchive(unowned: $0, path: "input.tar")
      for member in archive.members { checksum &+= archive.bytes(member).last ?? 0 }
    },
    Parser(
      name: "LMDB",
      seeds: [
        "lfm_lmdb/validation.lmdb/data.mdb", "lsun/church_outdoor_train_lmdb/data.mdb",
        "bad_lmdb_truncated/data.mdb",
      ]
    ) {
      let database = try LMDBFile(unowned: $0, path: "input.mdb")
      for i in 0..<database.count {
        checksum &+= database.key(i).last ?? 0
        checksum &+= try database.value(i).last ?? 0
      }
    },
    Parser(
      name: "JSON", seeds: ["manifest.json"]
    ) { try parseJSON($0) },
  ]

  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Fixtures/files").path

  private static func fixtures(_ suffixes: [String], without parts: [String]) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.sorted().filter { name in
      suffixes.contains { name.hasSuffix($0) } && !parts.contains { name.contains($0) }
    }
  }

  /// The seeds' bytes. Throws if one cannot be read, and if there is none.
  func load() throws -> [[UInt8]] {
    let loaded = try seeds.compactMap { seed -> [UInt8]? in
      let path = "\(Parser.folder)/\(seed)"
      guard let member else {
        return try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
      }
      return try TensorFile.member(member, ofZip: path)
    }
    guard !loaded.isEmpty else {
      throw UserError(.missingInput, Parser.folder, found: "no seeds for \(name)")
    }
    return loaded.filter { $0.count <= 48 << 10 }
  }
}

private func parseJSON(_ bytes: UnsafeRawBufferPointer) throws {
  do {
    _ = try JSONValue(parsing: bytes)
  } catch {
    throw UserError(.badData, "input.json", at: "byte \(error.byte)", found: error.reason)
  }
}

private func readAll(_ source: any TensorSource) throws {
  for name in source.names {
    _ = try source.shape(name)
    try source.withBytes(name) { raw in
      var sum: UInt8 = 0
      for byte in raw { sum &+= byte }
      checksum &+= sum
    }
  }
}

/// Keeps the reads from being optimised away.
nonisolated(unsafe) var checksum: UInt8 = 0
