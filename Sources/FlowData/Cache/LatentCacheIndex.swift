import Diagnostics
import Foundation

/// What the latents of a cache were made from and what they look like.
public struct LatentCacheDescription: Codable, Equatable, Sendable {
  /// Number of images.
  public var count: Int
  /// [H, W, C] of one latent.
  public var latentShape: [Int]
  /// Rows per shard file; fixed, so that the files do not depend on the number of ranks.
  public var shardRows: Int
  /// false for an identity first stage: the rows are the images themselves.
  public var hasLogvar: Bool
  /// Whether the horizontally flipped images are encoded too.
  public var hasFlips: Bool
  public var hasLabels: Bool
  /// Names of the classes in the order of their labels; empty without labels.
  public var classNames: [String]
  /// Hash over the images and their order.
  public var sourceFingerprint: String
  public var sourcePath: String
  /// How the images were cropped and scaled; nil where nobody wrote it down.
  public var preparation: Preparation?
  /// The list of images that were taken, a file; nil for all.
  public var subset: String?
  /// SHA-256 of the autoencoder's weights; a fixed word for the identity.
  public var autoencoderHash: String
  /// Latents are multiplied by this for training (LFM: 0.18215).
  public var scaleFactor: Double

  public init(
    count: Int, latentShape: [Int], shardRows: Int = 1024, hasLogvar: Bool, hasFlips: Bool,
    hasLabels: Bool, classNames: [String], sourceFingerprint: String, sourcePath: String,
    autoencoderHash: String, scaleFactor: Double
  ) {
    self.count = count
    self.latentShape = latentShape
    self.shardRows = shardRows
    self.hasLogvar = hasLogvar
    self.hasFlips = hasFlips
    self.hasLabels = hasLabels
    self.classNames = classNames
    self.sourceFingerprint = sourceFingerprint
    self.sourcePath = sourcePath
    self.autoencoderHash = autoencoderHash
    self.scaleFactor = scaleFactor
  }

  /// Elements per latent, H · W · C.
  public var rowCount: Int { latentShape.reduce(1, *) }

  /// Ranges of image indices, one per shard.
  public var shards: [Range<Int>] { LatentCacheWriter.plan(count: count, shardRows: shardRows) }

  /// Names of the float tensors of a shard.
  var tensorNames: [String] {
    ["mean"] + (hasLogvar ? ["logvar"] : []) + (hasFlips ? ["mean_flip"] : [])
      + (hasFlips && hasLogvar ? ["logvar_flip"] : [])
  }

  /// Hash over all fields that decide what is in a shard: a shard left by another encoding is no
  /// good, however intact it is. The path of the images is not one of them.
  func contentHash() throws -> String {
    var copy = self
    copy.sourcePath = ""
    copy.subset = nil
    return try canonicalJSON(copy).withUnsafeBytes { sha256Hex(of: $0) }
  }
}

/// `index.json` of a finished cache.
public struct LatentCacheIndex: Codable, Equatable, Sendable {
  public static let currentFormat = 1
  public static let fileName = "index.json"

  public var format = LatentCacheIndex.currentFormat
  public var description: LatentCacheDescription
  /// Files in order of their rows.
  public var shards: [FileRecord]
  /// Per channel, of the scaled latents z = scaleFactor · (mean + exp(logvar / 2) · noise).
  public var channelMean: [Double]
  /// Per channel, of the same: √(Var(mean) + E[exp(logvar)]) · scaleFactor.
  public var channelDeviation: [Double]

  static func read(in folder: String) throws -> LatentCacheIndex {
    let path = folder + "/" + fileName
    guard FileManager.default.fileExists(atPath: path) else {
      throw UserError(
        .missingInput, folder, found: "no \(fileName)", expected: "a finished latent cache",
        advice: "run latentflow encode, again if it was interrupted")
    }
    let index: LatentCacheIndex = try readJSON(path, format: currentFormat)
    try index.check(path)
    return index
  }

  private func check(_ path: String) throws {
    let d = description
    func require(_ holds: Bool, _ place: String, _ found: String, _ expected: String) throws {
      if !holds { throw UserError(.badData, path, at: place, found: found, expected: expected) }
    }
    try require(
      d.latentShape.count == 3 && d.latentShape.allSatisfy { (1...1 << 16).contains($0) },
      "latentShape", "\(d.latentShape)", "[H, W, C]")
    try require(
      d.count > 0 && d.count < 1 << 40 && d.shardRows > 0 && d.shardRows < 1 << 30, "count",
      "\(d.count) rows in shards of \(d.shardRows)", "positive numbers")
    let shardCount = (d.count - 1) / d.shardRows + 1
    try require(
      shards.count == shardCount, "shards", "\(shards.count) shards", "\(shardCount)")
    try require(
      d.scaleFactor.isFinite && d.scaleFactor > 0, "scaleFactor", "\(d.scaleFactor)",
      "a positive number")
    let channels = d.latentShape[2]
    try require(
      channelMean.count == channels && channelDeviation.count == channels, "channelMean",
      "\(channelMean.count) means, \(channelDeviation.count) deviations", "\(channels) each")
  }
}
