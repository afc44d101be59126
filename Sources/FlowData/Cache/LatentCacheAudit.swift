import Diagnostics
import Foundation

/// A cache gone through shard by shard, each of them by itself: on any rank, in any order.
public struct LatentCacheAudit: Sendable {
  public let folder: String
  public let index: LatentCacheIndex

  /// Reads `index.json` alone. Throws `.missingInput` or `.badData`.
  public init(folder: String) throws {
    self.folder = folder
    index = try LatentCacheIndex.read(in: folder)
  }

  public func path(_ shard: Int) -> String { folder + "/" + LatentCacheWriter.fileName(shard) }

  /// Reads the whole shard: its size and SHA-256, the shapes of its tensors, its labels. Throws
  /// `.badData` or `.missingInput` naming the file.
  ///
  /// - Returns: its share of the statistics.
  public func check(_ shard: Int) throws -> [[Double]] {
    let (rows, d) = (index.shardRows[shard], index.description)
    let file = try LatentCache.open(shard, of: index, folder, rows: rows.count)
    let found = try sha256Hex(ofFile: file.path)
    guard found == index.shards[shard].sha256 else {
      throw UserError(
        .badData, file.path, found: "SHA-256 \(found)", expected: index.shards[shard].sha256,
        advice: LatentCache.damageAdvice)
    }
    if d.hasLabels { _ = try LatentCache.labels(file, rows, classes: d.classNames.count) }
    let mean = try file.floats("mean").baseAddress!
    let logvar = d.hasLogvar ? try file.floats("logvar").baseAddress : nil
    return withExtendedLifetime(file) {
      d.channelSums(MomentRows(mean: mean, logvar: logvar), rows: rows.count)
    }
  }

  /// Compares the statistics of the index with those of the shards, all of which are good.
  /// Throws `.badData` naming the index and the first channel that differs.
  ///
  /// - Parameter sums: what `check` returned, in order of the shards.
  public func checkStatistics(_ sums: [[[Double]]]) throws {
    let (means, deviations) = channelStatistics(sums, index.encodings)
    let pairs = [
      ("channelMean", index.channelMean, means),
      ("channelDeviation", index.channelDeviation, deviations),
    ]
    for (name, recorded, found) in pairs {
      for c in recorded.indices {
        // exp is not the same to the last bit in every C library.
        let tolerance = 1e-9 * max(abs(found[c]), abs(deviations[c]))
        guard !(abs(recorded[c] - found[c]) <= tolerance), recorded[c] != found[c] else { continue }
        throw UserError(
          .badData, folder + "/" + LatentCacheIndex.fileName, at: "\(name)[\(c)]",
          found: "\(recorded[c])", expected: "\(found[c]), as the shards come to",
          advice: "run latentflow encode again")
      }
    }
  }
}
