import Diagnostics
import Foundation

/// A committed checkpoint: a folder with a readable manifest.
public struct Checkpoint: Equatable, Sendable {
  public let folder: String
  public let manifest: CheckpointManifest

  public var step: Int { manifest.step }
  public var name: String { lastName(of: folder) }
  public var model: String { folder + "/model.safetensors" }
  public var ema: String { folder + "/ema.safetensors" }

  /// The optimiser state that rank `rank` of `manifest.ranks` wrote.
  public func state(rank: Int) -> String {
    precondition(
      (0..<manifest.ranks).contains(rank), "rank \(rank) of a checkpoint of \(manifest.ranks)")
    return folder + "/" + CheckpointManifest.stateFile(rank: rank, of: manifest.ranks)
  }

  /// Opens the folder of one checkpoint and checks its manifest; `verify` checks the files.
  /// Throws `.missingInput` or `.badData`.
  public init(folder: String) throws {
    guard FileManager.default.fileExists(atPath: folder + "/" + CheckpointManifest.fileName) else {
      throw UserError(
        .missingInput, folder, found: "no \(CheckpointManifest.fileName)",
        expected: "a checkpoint folder")
    }
    self.folder = folder
    manifest = try CheckpointManifest.read(in: folder)
  }

  /// Reads every file and compares size and SHA-256 with the manifest. Throws `.badData` naming
  /// the first file that differs, with the hash found and the hash expected.
  public func verify() throws {
    for (name, expected) in manifest.files.sorted(by: { precedes($0.key, $1.key) }) {
      try Checkpoint.verify(folder + "/" + name, expected)
    }
  }

  /// Compares size and SHA-256 of one file. Throws `.badData` or `.missingInput` naming it.
  public static func verify(_ path: String, _ expected: FileRecord) throws {
    var status = stat()
    guard stat(path, &status) == 0 else { throw Disk.failure(path) }
    let advice = "resume from another checkpoint of this run"
    guard Int(status.st_size) == expected.bytes else {
      throw UserError(
        .badData, path, found: "\(status.st_size) bytes", expected: "\(expected.bytes) bytes",
        advice: advice)
    }
    let found = try sha256Hex(ofFile: path)
    guard found == expected.sha256 else {
      throw UserError(
        .badData, path, found: "SHA-256 \(found)", expected: expected.sha256, advice: advice)
    }
  }
}

/// A checkpoint that is being written: all ranks put their files into `folder`, then rank 0
/// commits.
public struct CheckpointDraft: Sendable {
  public let step: Int
  /// Not yet the final name; gone after `commit`.
  public let folder: String
  let disk: Disk

  public var model: String { folder + "/model.safetensors" }
  public var ema: String { folder + "/ema.safetensors" }

  public func state(rank: Int, of ranks: Int) -> String {
    folder + "/" + CheckpointManifest.stateFile(rank: rank, of: ranks)
  }

  /// Writes and syncs one file of the checkpoint; any rank may call it after `begin`.
  @discardableResult
  public func write(
    _ tensors: [SafetensorsTensor], metadata: [String: String] = [:], to path: String
  ) throws -> FileRecord {
    try SafetensorsWriter.write(tensors, metadata: metadata, to: path, disk: disk)
  }
}
