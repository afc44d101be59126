import Diagnostics
import FlowData
import Foundation

/// A latent cache: what it was made from, and whether its shards have the recorded hashes.
struct CacheReport: InspectionReport {
  let kind = "latent cache"
  let path: String
  let index: LatentCacheIndex
  /// The first damaged shard; nil if all are good.
  let damage: String?

  var isGood: Bool { damage == nil }

  init(folder: String) throws {
    path = folder
    let cache = try LatentCache(folder: folder)
    index = cache.index
    do {
      try cache.verify()
      damage = nil
    } catch let error as UserError where error.status == .badData {
      damage = error.summary
    }
  }

  var text: String {
    let d = index.description
    func list(_ values: [Double]) -> String {
      values.map { String(format: "%.4f", $0) }.joined(separator: " ")
    }
    var table = TextTable()
    table.append("shape", d.latentShape.map(String.init).joined(separator: "×") + " (H×W×C)")
    table.append(
      "classes",
      d.hasLabels
        ? "\(d.classNames.count): " + oneLine(d.classNames.joined(separator: ", "))
        : "no labels")
    table.append("scale", "\(d.scaleFactor)")
    table.append("channel mean", list(index.channelMean))
    table.append("channel std", list(index.channelDeviation))
    table.append(
      "rows hold",
      (d.hasLogvar ? "mean and log-variance" : "pixels")
        + (d.hasFlips ? ", of flipped images too" : ""))
    if let masks = d.masks {
      table.append("masks", "\(masks.height)×\(masks.width), \(masks.classes) classes")
    }
    if let low = d.lowResolution {
      table.append(
        "low resolution",
        low.latentShape.map(String.init).joined(separator: "×") + ", of \(low.size) pixels")
    }
    if let parts = index.parts {
      table.append("parts", parts.map { grouped($0.count) }.joined(separator: " + "))
    }
    table.append("images", oneLine(d.sourcePath))
    table.append("images hash", oneLine(d.sourceFingerprint))
    table.append("autoencoder", oneLine(d.autoencoderHash))
    table.append("shards", "\(index.shards.count), \(damage.map { "DAMAGED: \($0)" } ?? "ok")")
    return "\(path): latent cache, \(grouped(d.count)) latents\n" + table.text(indent: 2)
  }
}
