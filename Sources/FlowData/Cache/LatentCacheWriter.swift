import Diagnostics
import Foundation

/// Posterior moments of consecutive rows, [n, H, W, C] each; the memory is the caller's.
public struct MomentRows {
  public var mean: UnsafePointer<Float>
  public var logvar: UnsafePointer<Float>?

  public init(mean: UnsafePointer<Float>, logvar: UnsafePointer<Float>? = nil) {
    (self.mean, self.logvar) = (mean, logvar)
  }
}

/// The rows of one shard; the memory is the caller's for the time of the call.
public struct LatentRows {
  public var straight: MomentRows
  public var flipped: MomentRows?
  /// Of the images made smaller.
  public var low: MomentRows?
  public var lowFlipped: MomentRows?
  /// [n, height, width]
  public var masks: UnsafePointer<UInt8>?
  /// One label per row.
  public var labels: [Int]?

  public init(
    mean: UnsafePointer<Float>, logvar: UnsafePointer<Float>? = nil,
    meanFlip: UnsafePointer<Float>? = nil, logvarFlip: UnsafePointer<Float>? = nil,
    labels: [Int]? = nil
  ) {
    straight = MomentRows(mean: mean, logvar: logvar)
    flipped = meanFlip.map { MomentRows(mean: $0, logvar: logvarFlip) }
    self.labels = labels
  }

  /// With the names that the tensors have in a shard.
  var moments: [(name: String, base: UnsafePointer<Float>)] {
    let all = [("", "", straight), ("", "_flip", flipped), ("low_", "", low),
      ("low_", "_flip", lowFlipped)]
    return all.flatMap { before, after, rows in
      guard let rows else { return [(String, UnsafePointer<Float>)]() }
      return [("\(before)mean\(after)", rows.mean)]
        + (rows.logvar.map { [("\(before)logvar\(after)", $0)] } ?? [])
    }
  }
}

/// Writes a latent cache shard by shard, any shard from any rank, in any order, over several runs.
///
/// Shards have a fixed number of rows and canonical files, so that the cache is the same, byte for
/// byte, however many ranks made it. A shard counts as done when its small JSON file is there,
/// belongs to this very description, and matches the hash of the data.
public struct LatentCacheWriter: Sendable {
  public let folder: String
  /// What this writer encodes: the whole cache, or one of its parts.
  public let description: LatentCacheDescription
  private let contentHash: String
  /// Its place among the parts of the cache.
  private let part: Int
  /// The number of the file that holds its first rows.
  private let firstShard: Int
  /// The finished cache of which this is a part, new or to be mended.
  private let base: LatentCacheIndex?
  private let disk: Disk

  /// What stands beside a finished shard.
  struct ShardRecord: Codable, Equatable {
    static let currentFormat = 1

    var format = ShardRecord.currentFormat
    /// `LatentCacheDescription.contentHash` of the encoding that made it.
    var content: String
    var rows: Int
    var file: FileRecord
    /// Sums over the rows, per channel, unscaled: of mean, mean², exp(logvar).
    var sums: [[Double]]
  }

  /// Creates the folder where it is missing; any rank may do so.
  ///
  /// - Parameter append: the rows go behind those of the finished cache in `folder`, which stays
  ///   valid as it is until `finish`. Throws `.missingInput` if there is none, `.usage` naming the
  ///   property in which the new rows would differ from the old.
  public init(
    folder: String, _ description: LatentCacheDescription, append: Bool = false,
    disk: Disk = .local
  ) throws {
    let shape = description.latentShape
    precondition(
      shape.count == 3 && shape.allSatisfy { $0 > 0 } && description.shardRows > 0,
      "latent shape \(shape), \(description.shardRows) rows per shard")
    guard description.count > 0 else {
      throw UserError(
        .badData, description.sourcePath, found: "no images", expected: "at least one")
    }
    self.folder = folder
    self.description = description
    self.disk = disk
    let hash = try description.contentHash()
    contentHash = hash
    let index = append
      ? try LatentCacheIndex.read(in: folder) : try? LatentCacheIndex.read(in: folder)
    let candidates = append ? index?.encodings : index.map { [$0.encodings[0]] }
    let known = try candidates?.firstIndex { try $0.contentHash() == hash }
    if let index, let part = known {
      (base, self.part) = (index, part)
      firstShard = index.encodings[..<part].reduce(0) { $0 + $1.shards.count }
    } else if let index, append {
      if let name = description.difference(from: index.description) {
        throw UserError(
          .usage, folder, at: name, found: "another \(name) than that of the rows to append",
          expected: "the same", advice: "encode them as the cache was, or into another folder")
      }
      (base, part) = (index, index.encodings.count)
      firstShard = index.shards.count
    } else {
      (base, part, firstShard) = (nil, 0, 0)
    }
    try disk.createFolders(folder)
    // An index of another encoding must not be read over shards that are about to change.
    let path = folder + "/" + LatentCacheIndex.fileName
    if base == nil, FileManager.default.fileExists(atPath: path) { try disk.remove(path) }
  }

  /// Ranges of row indices, one per shard.
  public static func plan(count: Int, shardRows: Int = 1024) -> [Range<Int>] {
    stride(from: 0, to: count, by: shardRows).map { $0..<min($0 + shardRows, count) }
  }

  static func fileName(_ shard: Int) -> String { "shard-\(digits(shard, 5)).safetensors" }

  private func dataPath(_ shard: Int) -> String {
    folder + "/" + LatentCacheWriter.fileName(firstShard + shard)
  }
  private func recordPath(_ shard: Int) -> String {
    LatentCacheWriter.recordPath(folder, firstShard + shard)
  }
  static func recordPath(_ folder: String, _ file: Int) -> String {
    folder + "/shard-\(digits(file, 5)).json"
  }

  /// Row indices of shard `shard`.
  public func rows(_ shard: Int) -> Range<Int> {
    let start = shard * description.shardRows
    precondition(
      shard >= 0 && start < description.count, "shard \(shard) of \(description.count) rows")
    return start..<min(start + description.shardRows, description.count)
  }

  /// Whether a run before this one, or this one, has finished the shard. Reads and hashes its data.
  public func isDone(_ shard: Int) -> Bool { (try? record(shard)) != nil }

  /// nil if the shard is missing, damaged, or made from something else.
  private func record(_ shard: Int) throws -> ShardRecord? {
    let format = ShardRecord.currentFormat
    guard FileManager.default.fileExists(atPath: recordPath(shard)),
      let record: ShardRecord = try? readJSON(recordPath(shard), format: format),
      record.content == contentHash, record.rows == rows(shard).count, record.sums.count == 3,
      record.sums.allSatisfy({ $0.count == description.latentShape[2] }),
      let found = try? FileRecord(ofFile: dataPath(shard)), found == record.file
    else { return nil }
    return record
  }

  /// Writes one shard, data first, so that its JSON file never speaks of data that are not there.
  /// Throws `.badData` for a label outside the classes, `.io` if the disk is full or refuses.
  public func write(shard: Int, _ data: LatentRows) throws {
    let d = description
    let count = rows(shard).count
    let moments = data.moments
    precondition(
      Set(moments.map(\.name)) == Set(d.floatTensors.map(\.name))
        && (data.labels != nil) == d.hasLabels && (data.masks != nil) == (d.masks != nil),
      "the rows do not carry what the description of the cache says")
    try checkLabels(data.labels, shard)
    let shapes = Dictionary(uniqueKeysWithValues: d.floatTensors.map { ($0.name, $0.shape) })
    var tensors = moments.map { SafetensorsTensor($0.name, [count] + shapes[$0.name]!, $0.base) }
    if let plane = d.masks {
      tensors.append(
        SafetensorsTensor(
          "mask", .u8, [count, plane.height, plane.width],
          UnsafeRawBufferPointer(start: data.masks!, count: count * plane.count)))
    }
    let labels = (data.labels ?? []).map(Int64.init)
    let file = try labels.withUnsafeBytes { raw in
      if d.hasLabels { tensors.append(SafetensorsTensor("labels", .i64, [count], raw)) }
      return try SafetensorsWriter.writeAtomically(tensors, to: dataPath(shard), disk: disk)
    }
    let record = ShardRecord(
      content: contentHash, rows: count, file: file,
      sums: d.channelSums(data.straight, rows: count))
    try disk.writeAtomically(try canonicalJSON(record), to: recordPath(shard))
  }

  private func checkLabels(_ labels: [Int]?, _ shard: Int) throws {
    guard let labels else { return }
    let first = rows(shard).lowerBound
    precondition(
      labels.count == rows(shard).count, "\(labels.count) labels for \(rows(shard).count) rows")
    let classes = description.classNames.count
    for (i, label) in labels.enumerated() where label < 0 || label >= classes {
      throw UserError(
        .badData, description.sourcePath, at: "image \(first + i)", found: "label \(label)",
        expected: "0 to \(classes - 1)")
    }
  }

  /// Rank 0, when all shards are done: writes `index.json`. Throws `.internal` naming a shard that
  /// is missing or damaged.
  @discardableResult
  public func finish() throws -> LatentCacheIndex {
    let own = try description.shards.indices.map { shard in
      guard let record = try record(shard) else {
        throw UserError(
          .internal, dataPath(shard), found: "not finished", expected: "a shard that verifies")
      }
      return record
    }
    var parts = base?.encodings ?? []
    parts.replaceSubrange(part..<min(part + 1, parts.count), with: [description])
    var records = own
    if let base {
      let after = min(firstShard + own.count, base.shards.count)
      records =
        try (0..<firstShard).map { try foreignRecord($0, base) } + own
        + (after..<base.shards.count).map { try foreignRecord($0, base) }
    }
    let (means, deviations) = channelStatistics(records.map(\.sums), parts)
    let index = LatentCacheIndex(
      parts: parts, shards: records.map(\.file), channelMean: means,
      channelDeviation: deviations)
    try disk.writeAtomically(
      try canonicalJSON(index), to: folder + "/" + LatentCacheIndex.fileName)
    return index
  }

  /// The record of a shard of another part, as its index has it; the data are not read again.
  private func foreignRecord(_ file: Int, _ index: LatentCacheIndex) throws -> ShardRecord {
    let path = LatentCacheWriter.recordPath(folder, file)
    let record: ShardRecord = try readJSON(path, format: ShardRecord.currentFormat)
    guard record.file == index.shards[file], record.sums.count == 3,
      record.sums.allSatisfy({ $0.count == description.latentShape[2] })
    else {
      throw UserError(
        .badData, path, found: "the record of another file",
        expected: "that of \(LatentCacheWriter.fileName(file)) in \(LatentCacheIndex.fileName)",
        advice: LatentCache.damageAdvice)
    }
    return record
  }
}
