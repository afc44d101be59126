import Diagnostics
import Foundation

/// The rows of one shard, [n, H, W, C] each; the memory is the caller's for the time of the call.
public struct LatentRows {
  public var mean: UnsafePointer<Float>
  public var logvar: UnsafePointer<Float>?
  public var meanFlip: UnsafePointer<Float>?
  public var logvarFlip: UnsafePointer<Float>?
  /// One label per row.
  public var labels: [Int]?

  public init(
    mean: UnsafePointer<Float>, logvar: UnsafePointer<Float>? = nil,
    meanFlip: UnsafePointer<Float>? = nil, logvarFlip: UnsafePointer<Float>? = nil,
    labels: [Int]? = nil
  ) {
    self.mean = mean
    self.logvar = logvar
    self.meanFlip = meanFlip
    self.logvarFlip = logvarFlip
    self.labels = labels
  }
}

/// Writes a latent cache shard by shard, any shard from any rank, in any order, over several runs.
///
/// Shards have a fixed number of rows and canonical files, so that the cache is the same, byte for
/// byte, however many ranks made it. A shard counts as done when its small JSON file is there,
/// belongs to this very description, and matches the hash of the data.
public struct LatentCacheWriter: Sendable {
  public let folder: String
  public let description: LatentCacheDescription
  private let contentHash: String
  private let disk: Disk

  /// What stands beside a finished shard.
  struct ShardRecord: Codable, Equatable {
    var format = LatentCacheIndex.currentFormat
    /// `LatentCacheDescription.contentHash` of the encoding that made it.
    var content: String
    var rows: Int
    var file: FileRecord
    /// Sums over the rows, per channel, unscaled: of mean, mean², exp(logvar).
    var sums: [[Double]]
  }

  /// Creates the folder where it is missing; any rank may do so.
  public init(folder: String, _ description: LatentCacheDescription, disk: Disk = .local) throws {
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
    contentHash = try description.contentHash()
    try disk.createFolders(folder)
    try removeForeignIndex()
  }

  /// An index of another encoding must not be read over shards that are about to change.
  private func removeForeignIndex() throws {
    let path = folder + "/" + LatentCacheIndex.fileName
    guard FileManager.default.fileExists(atPath: path) else { return }
    if let index = try? LatentCacheIndex.read(in: folder),
      try index.description.contentHash() == contentHash
    {
      return
    }
    try disk.remove(path)
  }

  /// Ranges of row indices, one per shard.
  public static func plan(count: Int, shardRows: Int = 1024) -> [Range<Int>] {
    stride(from: 0, to: count, by: shardRows).map { $0..<min($0 + shardRows, count) }
  }

  static func fileName(_ shard: Int) -> String { "shard-\(digits(shard, 5)).safetensors" }

  private func dataPath(_ shard: Int) -> String {
    folder + "/" + LatentCacheWriter.fileName(shard)
  }
  private func recordPath(_ shard: Int) -> String { folder + "/shard-\(digits(shard, 5)).json" }

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
    let format = LatentCacheIndex.currentFormat
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
    precondition(
      (data.logvar != nil) == d.hasLogvar && (data.meanFlip != nil) == d.hasFlips
        && (data.logvarFlip != nil) == (d.hasFlips && d.hasLogvar)
        && (data.labels != nil) == d.hasLabels,
      "the rows do not carry what the description of the cache says")
    try checkLabels(data.labels, shard)
    let dims = [count] + d.latentShape
    var tensors: [SafetensorsTensor] = []
    let sources = [
      ("mean", data.mean), ("logvar", data.logvar), ("mean_flip", data.meanFlip),
      ("logvar_flip", data.logvarFlip),
    ]
    for (name, base) in sources {
      if let base { tensors.append(SafetensorsTensor(name, dims, base)) }
    }
    let labels = (data.labels ?? []).map(Int64.init)
    let file = try labels.withUnsafeBytes { raw in
      if d.hasLabels { tensors.append(SafetensorsTensor("labels", .i64, [count], raw)) }
      return try SafetensorsWriter.writeAtomically(tensors, to: dataPath(shard), disk: disk)
    }
    let record = ShardRecord(
      content: contentHash, rows: count, file: file,
      sums: channelSums(data.mean, data.logvar, rows: count))
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

  /// Per channel the sums of mean, mean² and exp(logvar), in row order.
  private func channelSums(
    _ mean: UnsafePointer<Float>, _ logvar: UnsafePointer<Float>?, rows: Int
  ) -> [[Double]] {
    let channels = description.latentShape[2]
    let positions = rows * description.rowCount / channels
    var sums = [[Double]](repeating: [Double](repeating: 0, count: channels), count: 3)
    for c in 0..<channels {
      var (sum, squares, variances) = (0.0, 0.0, 0.0)
      for p in 0..<positions {
        let value = Double(mean[p * channels + c])
        sum += value
        squares += value * value
        if let logvar { variances += exp(Double(logvar[p * channels + c])) }
      }
      sums[0][c] = sum
      sums[1][c] = squares
      sums[2][c] = variances
    }
    return sums
  }

  /// Rank 0, when all shards are done: writes `index.json`. Throws `.internal` naming a shard that
  /// is missing or damaged.
  @discardableResult
  public func finish() throws -> LatentCacheIndex {
    let d = description
    let channels = d.latentShape[2]
    var files: [FileRecord] = []
    var sums = [[Double]](repeating: [Double](repeating: 0, count: channels), count: 3)
    for shard in d.shards.indices {
      guard let record = try record(shard) else {
        throw UserError(
          .internal, dataPath(shard), found: "not finished", expected: "a shard that verifies")
      }
      files.append(record.file)
      for k in 0..<3 {
        for c in 0..<channels { sums[k][c] += record.sums[k][c] }
      }
    }
    let n = Double(d.count * d.rowCount / channels)
    let means = sums[0].map { $0 / n }
    let deviations = (0..<channels).map { c in
      (max(0, sums[1][c] / n - means[c] * means[c]) + sums[2][c] / n).squareRoot()
    }
    let index = LatentCacheIndex(
      description: d, shards: files, channelMean: means.map { $0 * d.scaleFactor },
      channelDeviation: deviations.map { $0 * d.scaleFactor })
    try disk.writeAtomically(
      try canonicalJSON(index), to: folder + "/" + LatentCacheIndex.fileName)
    return index
  }
}
