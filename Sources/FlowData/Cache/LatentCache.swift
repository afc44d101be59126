import Diagnostics
import Foundation

/// One latent of a cache, in place; valid while the cache lives.
public struct LatentRow {
  /// [H, W, C], unscaled.
  public let mean: UnsafePointer<Float>
  /// [H, W, C]; nil for an identity first stage.
  public let logvar: UnsafePointer<Float>?
  public let label: Int?
  /// Of the image made smaller, [h, w, C]; nil where the cache has none.
  public let lowMean: UnsafePointer<Float>?
  public let lowLogvar: UnsafePointer<Float>?
  /// A class per pixel, [height, width], of the image as it is: what belongs to a flipped row is
  /// its mirror image (`LatentCache.mask`). nil where the cache has none.
  public let mask: UnsafePointer<UInt8>?
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

  /// The moments of one image in place.
  private struct Moments {
    let mean: UnsafePointer<Float>
    let logvar: UnsafePointer<Float>?

    init(_ file: SafetensorsFile, _ d: LatentCacheDescription, _ form: (String) -> String) throws {
      mean = try file.floats(form("mean")).baseAddress!
      logvar = d.hasLogvar ? try file.floats(form("logvar")).baseAddress! : nil
    }

    func row(_ i: Int, of count: Int) -> (UnsafePointer<Float>, UnsafePointer<Float>?) {
      (mean + i * count, logvar.map { $0 + i * count })
    }
  }

  private struct Shard {
    let file: SafetensorsFile
    let straight: Moments
    let flipped, low, lowFlipped: Moments?
    let labels: UnsafePointer<Int64>?
    let masks: UnsafePointer<UInt8>?
  }

  private let shards: [Shard]
  /// Where the rows of each encoding begin.
  private let parts: [(row: Int, shard: Int)]

  /// Throws `.missingInput` or `.badData` naming the file.
  public init(folder: String) throws {
    self.folder = folder
    let index = try LatentCacheIndex.read(in: folder)
    self.index = index
    var shards: [Shard] = []
    var parts: [(row: Int, shard: Int)] = []
    var first = 0
    for part in index.encodings {
      parts.append((first, shards.count))
      for rows in part.shards {
        let file = try LatentCache.open(shards.count, of: index, folder, rows: rows.count)
        shards.append(
          try LatentCache.shard(
            file, index.description, rows: first + rows.lowerBound..<first + rows.upperBound))
      }
      first += part.count
    }
    self.shards = shards
    self.parts = parts
  }

  /// Checks size and shapes of shard `i` against the index.
  static func open(
    _ i: Int, of index: LatentCacheIndex, _ folder: String, rows: Int
  ) throws -> SafetensorsFile {
    let path = folder + "/" + LatentCacheWriter.fileName(i)
    let (record, d) = (index.shards[i], index.description)
    let mapped = try MappedFile(path)
    guard mapped.bytes.count == record.bytes else {
      throw UserError(
        .badData, path, found: "\(mapped.bytes.count) bytes", expected: "\(record.bytes) bytes",
        advice: damageAdvice)
    }
    mapped.expectRandomAccess()
    let file = try SafetensorsFile(mapped)
    for (name, shape) in d.floatTensors { try requireShape(file, name, [rows] + shape) }
    if d.hasLabels { try requireType(file, "labels", .i64) }
    if let masks = d.masks {
      try requireShape(file, "mask", [rows, masks.height, masks.width])
      try requireType(file, "mask", .u8)
    }
    return file
  }

  static let damageAdvice = "run latentflow encode again: it makes only the damaged shards anew"

  private static func requireShape(
    _ file: SafetensorsFile, _ name: String, _ expected: [Int]
  ) throws {
    let dims = try file.entry(name).dims
    guard dims == expected else {
      throw UserError(
        .badData, file.path, at: "tensor \(name)", found: "shape \(dims)",
        expected: "\(expected)", advice: damageAdvice)
    }
  }

  private static func requireType(
    _ file: SafetensorsFile, _ name: String, _ expected: SafetensorsType
  ) throws {
    let entry = try file.entry(name)
    guard entry.dtype == expected, entry.range.lowerBound % expected.width == 0 else {
      throw UserError(
        .badData, file.path, at: "tensor \(name)",
        found: "\(entry.dtype.rawValue) at byte \(entry.range.lowerBound)",
        expected: "\(expected.rawValue), aligned", advice: damageAdvice)
    }
  }

  private static func shard(
    _ file: SafetensorsFile, _ d: LatentCacheDescription, rows: Range<Int>
  ) throws -> Shard {
    let low = d.lowResolution != nil
    return Shard(
      file: file,
      straight: try Moments(file, d) { $0 },
      flipped: d.hasFlips ? try Moments(file, d) { "\($0)_flip" } : nil,
      low: low ? try Moments(file, d) { "low_\($0)" } : nil,
      lowFlipped: low && d.hasFlips ? try Moments(file, d) { "low_\($0)_flip" } : nil,
      labels: d.hasLabels ? try labels(file, rows, classes: d.classNames.count) : nil,
      masks: d.masks == nil
        ? nil : try file.bytes("mask").baseAddress!.assumingMemoryBound(to: UInt8.self))
  }

  /// One label per row, each within the classes.
  static func labels(
    _ file: SafetensorsFile, _ rows: Range<Int>, classes: Int
  ) throws -> UnsafePointer<Int64> {
    let labels = try file.bytes("labels").assumingMemoryBound(to: Int64.self)
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
    return labels.baseAddress!
  }

  /// The shard that holds row `i`, and the row's place in it.
  private func locate(_ i: Int) -> (Shard, Int) {
    precondition((0..<count).contains(i), "row \(i) of a cache of \(count)")
    let part = parts.last { $0.row <= i }!
    let (shard, row) = (i - part.row).quotientAndRemainder(
      dividingBy: index.description.shardRows)
    return (shards[part.shard + shard], row)
  }

  /// Latent `i`, of the horizontally flipped image if `flipped` (the cache must have flips).
  public func row(_ i: Int, flipped: Bool = false) -> LatentRow {
    let d = index.description
    precondition(!flipped || d.hasFlips, "\(folder) holds no flipped latents")
    let (shard, k) = locate(i)
    let (mean, logvar) = (flipped ? shard.flipped! : shard.straight).row(k, of: d.rowCount)
    let low = (flipped ? shard.lowFlipped : shard.low)?.row(k, of: d.lowResolution!.rowCount)
    return LatentRow(
      mean: mean, logvar: logvar, label: shard.labels.map { Int($0[k]) }, lowMean: low?.0,
      lowLogvar: low?.1, mask: shard.masks.map { $0 + k * d.masks!.count })
  }

  /// Says that row `i` is about to be read: its pages may then come from the disk together.
  public func willNeed(_ i: Int, flipped: Bool = false) {
    let row = row(i, flipped: flipped)
    let bytes = MemoryLayout<Float>.stride * index.description.rowCount
    adviseWillNeed(row.mean, bytes)
    if let logvar = row.logvar { adviseWillNeed(logvar, bytes) }
  }

  /// The mask that belongs to latent `i`; nil where the cache has none.
  public func mask(_ i: Int, flipped: Bool = false) -> LabelMap? {
    guard let plane = index.description.masks, let base = row(i).mask else { return nil }
    let map = LabelMap(
      width: plane.width, height: plane.height,
      labels: Array(UnsafeBufferPointer(start: base, count: plane.count)))
    return flipped ? map.flippedHorizontally() : map
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
          advice: LatentCache.damageAdvice)
      }
    }
  }
}
