import Diagnostics
import FlowData
import Foundation
import RunFormat

/// Everything below a path that carries hashes, cut into pieces that ranks can check one by one.
struct Inventory: Codable {
  enum Piece: Codable {
    /// Shard `index` of cache `cache`.
    case shard(cache: Int, index: Int)
    /// A file of a checkpoint.
    case file(path: String, FileRecord)
  }

  /// A file that is not what it should be.
  struct Damage: Codable, Equatable {
    var path: String
    var what: String

    init(_ path: String, _ error: UserError) {
      self.path = path
      let place = error.place.map { "\($0): " } ?? ""
      what = place + error.found + (error.expected.map { ", expected \($0)" } ?? "")
    }
  }

  /// Folders of caches.
  var caches: [String] = []
  /// Folders of checkpoints, each of which has a manifest that can be read.
  var checkpoints = 0
  var pieces: [Piece] = []
  /// Bytes of each piece, for the progress line.
  var bytes: [Int] = []
  /// What was found before any large file was read: an index or a manifest.
  var damages: [Damage] = []

  /// Throws `.missingInput` if there is nothing at `path` that carries hashes.
  init(_ path: String) throws {
    let manager = FileManager.default
    var isFolder: ObjCBool = false
    guard manager.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
      throw UserError(
        .missingInput, path, found: isFolder.boolValue ? "nothing" : "no such folder",
        expected: "a latent cache, a checkpoint, a run, or a folder of checkpoints")
    }
    func holds(_ name: String) -> Bool { manager.fileExists(atPath: "\(path)/\(name)") }
    if holds(LatentCacheIndex.fileName) {
      add(cache: path)
    } else if holds(CheckpointManifest.fileName) {
      add(checkpoint: path)
    } else {
      let folder = RunFolder(path: path).holdsRun ? RunFolder(path: path).checkpointsPath : path
      let steps = try CheckpointStore(folder: folder).folders()
      guard !steps.isEmpty else {
        throw UserError(
          .missingInput, path,
          found: "neither \(LatentCacheIndex.fileName) nor \(CheckpointManifest.fileName), "
            + "and no checkpoints",
          expected: "a latent cache, a checkpoint, a run, or a folder of checkpoints")
      }
      for step in steps { add(checkpoint: step) }
    }
  }

  private mutating func add(cache folder: String) {
    guard let index = attempt(folder, { try LatentCacheAudit(folder: folder).index }) else {
      return
    }
    caches.append(folder)
    for (i, record) in index.shards.enumerated() {
      pieces.append(.shard(cache: caches.count - 1, index: i))
      bytes.append(record.bytes)
    }
  }

  private mutating func add(checkpoint folder: String) {
    guard let manifest = attempt(folder, { try Checkpoint(folder: folder).manifest }) else {
      return
    }
    checkpoints += 1
    for (name, record) in manifest.files.sorted(by: { $0.key < $1.key }) {
      pieces.append(.file(path: "\(folder)/\(name)", record))
      bytes.append(record.bytes)
    }
  }

  private mutating func attempt<Value>(_ folder: String, _ body: () throws -> Value) -> Value? {
    do {
      return try body()
    } catch let error as UserError {
      damages.append(Damage(error.subject, error))
    } catch {
      damages.append(Damage(folder, UserError(.io, folder, found: "\(error)")))
    }
    return nil
  }
}

/// What the check of one piece came to, as it travels to rank 0.
struct PieceVerdict: Codable {
  var damage: Inventory.Damage?
  /// A shard's share of its cache's statistics, as bit patterns: JSON knows no infinity.
  private var bits: [[UInt64]]?

  var sums: [[Double]]? { bits?.map { $0.map(Double.init(bitPattern:)) } }

  /// Reads all of the piece. Throws what is no fault of the file.
  init(_ piece: Inventory.Piece, of inventory: Inventory) throws {
    do {
      switch piece {
      case .shard(let cache, let index):
        let sums = try LatentCacheAudit(folder: inventory.caches[cache]).check(index)
        bits = sums.map { $0.map(\.bitPattern) }
      case .file(let path, let record):
        try Checkpoint.verify(path, record)
      }
    } catch let error as UserError where [.badData, .missingInput].contains(error.status) {
      damage = Inventory.Damage(error.subject, error)
    }
  }
}
