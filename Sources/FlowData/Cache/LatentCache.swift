import Diagnostics
import Foundation

/// One latent of a cache, in place; valid while the cache lives.
public struct LatentRow {
  /// [H, W, C], unscaled.
  public let mean: UnsafePointer<Float>
  /// [H, W, C]; nil for an identity first stage.
  public let logvar: UnsafePointer<Float>?
  public let label: Int?
}

/// A finished latent cache, mapped into memory: ranks on one machine share its pages.
///
/// Opening checks every shard's size, shapes and labels against the index; `verify` reads all data.
public final class LatentCache: @unchecked Sendable {
  public let folder: String
  public let index: LatentCacheIndex
  public var count: Int { index.description.count }
  /// [H, W, C]
  public var latentShape: [Int] { index.description.latentShape }
  /// 0 without labels.
  public var classCount: Int { index.description.classNames.count }

  private struct Shard {
    let file: SafetensorsFile
    let mean, meanFlip, logvar, logvarFlip: UnsafePointer<Float>?
  }

  private let shards: [Shard]
  private let labels: [Int32]

  /// Throws `.missingInput` or `.badData` naming the file.
  public init(folder: String) throws {
    self.folder = folder
    let index = try LatentCacheIndex.read(in: folder)
    self.index = index
    let d = index.description
    var shards: [Shard] = []
    var labels: [Int32] = []
    for (i, rows) in d.shards.enumerated() {
      let path = folder + "/" + LatentCacheWriter.fileName(i)
      let file = try LatentCache.open(path, index.shards[i], d, rows: rows.count)
      if d.hasLabels {
        labels += try LatentCache.labels(file, rows, classes: d.classNames.count)
      }
      func base(_ name: String) throws -> UnsafePointer<Float>? {
        d.tensorNames.contains(name) ? try file.floats(name).baseAddress : nil
      }
      shards.append(
        Shard(
          file: file, mean: try base("mean"), meanFlip: try base("mean_flip"),
          logvar: try base("logvar"), logvarFlip: try base("logvar_flip")))
    }
    self.shards = shards
    self.labels = labels
  }

  private static func open(
    _ path: String, _ record: FileRecord, _ d: LatentCacheDescription, rows: Int
  ) throws -> SafetensorsFile {
    let advice = "run latentflow encode again: it makes only the damaged shards anew"
    let mapped = try MappedFile(path)
    guard mapped.bytes.count == record.bytes else {
      throw UserError(
        .badData, path, found: "\(mapped.bytes.count) bytes", expected: "\(record.bytes) bytes",
        advice: advice)
    }
    let file = try SafetensorsFile(path)
    for name in d.tensorNames {
      let dims = try file.entry(name).dims
      guard dims == [rows] + d.latentShape else {
        throw UserError(
          .badData, path, at: "tensor \(name)", found: "shape \(dims)",
          expected: "\([rows] + d.latentShape)", advice: advice)
      }
    }
    return file
  }

  private static func labels(_ file: SafetensorsFile, _ rows: Range<Int>, classes: Int) throws
    -> [Int32]
  {
    let labels = try file.ints("labels")
    guard labels.count == rows.count else {
      throw UserError(
        .badData, file.path, at: "tensor labels", found: "\(labels.count) labels",
        expected: "\(rows.count), one per row")
    }
    for (i, label) in labels.enumerated() where label < 0 || label >= classes {
      throw UserError(
        .badData, file.path, at: "label of image \(rows.lowerBound + i)", found: "\(label)",
        expected: "0 to \(classes - 1)")
    }
    return labels.map(Int32.init)
  }

  /// Latent `i`, of the horizontally flipped image if `flipped` (the cache must have flips).
  public func row(_ i: Int, flipped: Bool = false) -> LatentRow {
    let d = index.description
    precondition((0..<count).contains(i), "row \(i) of a cache of \(count)")
    precondition(!flipped || d.hasFlips, "\(folder) holds no flipped latents")
    let shard = shards[i / d.shardRows]
    let offset = i % d.shardRows * d.rowCount
    let mean = (flipped ? shard.meanFlip : shard.mean)!  // there by `init`
    let logvar = flipped ? shard.logvarFlip : shard.logvar
    return LatentRow(
      mean: mean + offset, logvar: logvar.map { $0 + offset },
      label: d.hasLabels ? Int(labels[i]) : nil)
  }

  /// Throws `.badData`, naming both hashes, if the cache was not made from these images with this
  /// autoencoder.
  public func check(sourceFingerprint: String, autoencoderHash: String) throws {
    let d = index.description
    let pairs = [
      ("images \(d.sourcePath)", d.sourceFingerprint, sourceFingerprint),
      ("autoencoder", d.autoencoderHash, autoencoderHash),
    ]
    for (what, made, now) in pairs where made != now {
      throw UserError(
        .badData, folder, at: what, found: "the cache was made from \(made)", expected: now,
        advice: "run latentflow encode again")
    }
  }

  /// Reads all shards and compares their SHA-256 with the index. Throws `.badData` naming the first
  /// file that differs.
  public func verify() throws {
    for (shard, record) in zip(shards, index.shards) {
      let found = try sha256Hex(ofFile: shard.file.path)
      guard found == record.sha256 else {
        throw UserError(
          .badData, shard.file.path, found: "SHA-256 \(found)", expected: record.sha256,
          advice: "run latentflow encode again: it makes only the damaged shards anew")
      }
    }
  }
}
