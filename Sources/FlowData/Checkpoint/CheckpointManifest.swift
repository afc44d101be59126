import Diagnostics
import Foundation

/// What a checkpoint folder holds and what run it belongs to: `manifest.json`.
public struct CheckpointManifest: Codable, Equatable, Sendable {
  /// The version of the folder format that this program writes and reads.
  public static let currentFormat = 1
  public static let fileName = "manifest.json"

  public var format = CheckpointManifest.currentFormat
  /// Finished training steps.
  public var step: Int
  public var seed: UInt64
  /// SHA-256 of the resolved configuration.
  public var configHash: String
  /// Number of ranks that wrote it, and of `state-…` files.
  public var ranks: Int
  /// Whatever else the run wants to find again: epoch, samples seen, skipped steps ….
  public var fields: [String: JSONValue]
  /// Size and SHA-256 of every other file of the folder, by name; filled in by `commit`.
  public var files: [String: FileRecord] = [:]
  /// SHA-256 of this manifest written with an empty `sha256`; filled in by `commit`.
  public internal(set) var sha256 = ""

  public init(
    step: Int, seed: UInt64, configHash: String, ranks: Int, fields: [String: JSONValue] = [:]
  ) {
    self.step = step
    self.seed = seed
    self.configHash = configHash
    self.ranks = ranks
    self.fields = fields
  }

  /// `model.safetensors`, `ema.safetensors` and one `state-RRRR-of-NNNN.safetensors` per rank.
  public static func requiredFiles(ranks: Int) -> [String] {
    ["ema.safetensors", "model.safetensors"]
      + (0..<ranks).map { stateFile(rank: $0, of: ranks) }
  }

  public static func stateFile(rank: Int, of ranks: Int) -> String {
    "state-\(digits(rank, 4))-of-\(digits(ranks, 4)).safetensors"
  }

  /// The canonical text, sealed with its own hash.
  func sealedText() throws -> [UInt8] {
    var copy = self
    copy.sha256 = try ownHash()
    return try canonicalJSON(copy)
  }

  private func ownHash() throws -> String {
    var copy = self
    copy.sha256 = ""
    return try canonicalJSON(copy).withUnsafeBytes { sha256Hex(of: $0) }
  }

  /// Reads and checks the manifest of `folder`; not yet the files that it names.
  static func read(in folder: String) throws -> CheckpointManifest {
    let path = folder + "/" + fileName
    let manifest: CheckpointManifest = try readJSON(path, format: currentFormat)
    let hash = try manifest.ownHash()
    guard hash == manifest.sha256 else {
      throw UserError(
        .badData, path, found: "SHA-256 \(hash)", expected: "\(shown(manifest.sha256))",
        advice: "the manifest was changed after it was written")
    }
    try manifest.checkNames(path)
    return manifest
  }

  /// File names come from a file: none may point out of the folder.
  private func checkNames(_ path: String) throws {
    for name in files.keys where name.contains("/") || name.hasPrefix(".") || name.isEmpty {
      throw UserError(
        .badData, path, at: "files", found: "the name \(shown(name))", expected: "plain file names")
    }
    guard ranks >= 1, ranks <= 9999, step >= 0 else {
      throw UserError(
        .badData, path, found: "\(ranks) ranks, step \(step)",
        expected: "1 to 9999 ranks, step ≥ 0")
    }
    for name in CheckpointManifest.requiredFiles(ranks: ranks) where files[name] == nil {
      throw UserError(.badData, path, at: "files", found: "no \(name)", expected: "its hash")
    }
  }
}
