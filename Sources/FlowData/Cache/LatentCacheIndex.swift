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
  /// The segmentation masks beside the latents; nil without.
  public var masks: MaskPlane?
  /// The latents of the same images made smaller, for up-sampling; nil without.
  public var lowResolution: LowResolution?

  /// Masks as a cache holds them: a class per pixel of the image that was encoded.
  public struct MaskPlane: Codable, Equatable, Sendable {
    public var height: Int
    public var width: Int
    /// Values are 0 ..< classes, or 255 where the data set says «unlabelled» so.
    public var classes: Int
    /// Hash over all masks.
    public var fingerprint: String

    public init(height: Int, width: Int, classes: Int, fingerprint: String = "") {
      (self.height, self.width, self.classes) = (height, width, classes)
      self.fingerprint = fingerprint
    }

    public var count: Int { height * width }
  }

  public struct LowResolution: Codable, Equatable, Sendable {
    /// Side of the small image in pixels.
    public var size: Int
    /// [h, w, C]
    public var latentShape: [Int]

    public init(size: Int, latentShape: [Int]) {
      (self.size, self.latentShape) = (size, latentShape)
    }

    public var rowCount: Int { latentShape.reduce(1, *) }
  }

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

  /// Names and row shapes of the float tensors of a shard.
  var floatTensors: [(name: String, shape: [Int])] {
    let names = ["mean"] + (hasLogvar ? ["logvar"] : []) + (hasFlips ? ["mean_flip"] : [])
      + (hasFlips && hasLogvar ? ["logvar_flip"] : [])
    let low = lowResolution.map { low in names.map { ("low_" + $0, low.latentShape) } } ?? []
    return names.map { ($0, latentShape) } + low
  }

  /// The first property in which rows of `other` could not stand behind rows of this; nil if none.
  func difference(from other: LatentCacheDescription) -> String? {
    func plane(_ masks: MaskPlane?) -> [Int] {
      masks.map { [$0.height, $0.width, $0.classes] } ?? []
    }
    if latentShape != other.latentShape { return "latentShape" }
    if shardRows != other.shardRows { return "shardRows" }
    if hasLogvar != other.hasLogvar { return "hasLogvar" }
    if hasFlips != other.hasFlips { return "hasFlips" }
    if hasLabels != other.hasLabels { return "hasLabels" }
    if !classNames.starts(with: other.classNames) { return "classNames" }
    if autoencoderHash != other.autoencoderHash { return "autoencoderHash" }
    if scaleFactor != other.scaleFactor { return "scaleFactor" }
    if plane(masks) != plane(other.masks) { return "masks" }
    return lowResolution == other.lowResolution ? nil : "lowResolution"
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
  /// Format 1: one encoding, latents and labels. Format 2: several encodings, masks or
  /// low-resolution latents. A cache is written in the lowest format that can say what it holds.
  public static let formats = 1...2
  public static let fileName = "index.json"

  public var format: Int
  /// Of all rows together.
  public var description: LatentCacheDescription
  /// The encodings whose rows stand one behind the other; nil if there is only one.
  public var parts: [LatentCacheDescription]?
  /// Files in order of their rows.
  public var shards: [FileRecord]
  /// Per channel, of the scaled latents z = scaleFactor · (mean + exp(logvar / 2) · noise).
  public var channelMean: [Double]
  /// Per channel, of the same: √(Var(mean) + E[exp(logvar)]) · scaleFactor.
  public var channelDeviation: [Double]

  init(
    parts: [LatentCacheDescription], shards: [FileRecord], channelMean: [Double],
    channelDeviation: [Double]
  ) {
    description = LatentCacheIndex.whole(parts)
    self.parts = parts.count > 1 ? parts : nil
    self.shards = shards
    (self.channelMean, self.channelDeviation) = (channelMean, channelDeviation)
    let isPlain =
      parts.count == 1 && description.masks == nil && description.lowResolution == nil
    format = isPlain ? 1 : 2
  }

  /// What was encoded, in order of the rows.
  public var encodings: [LatentCacheDescription] { parts ?? [description] }

  /// Ranges of rows, one per shard: every encoding begins a shard of its own.
  public var shardRows: [Range<Int>] {
    var first = 0
    return encodings.flatMap { part in
      defer { first += part.count }
      return part.shards.map { first + $0.lowerBound..<first + $0.upperBound }
    }
  }

  /// Several encodings as one.
  private static func whole(_ parts: [LatentCacheDescription]) -> LatentCacheDescription {
    var whole = parts[0]
    guard parts.count > 1 else { return whole }
    func joined(_ texts: [String]) -> String {
      Array(texts.joined(separator: "\n").utf8).withUnsafeBytes { sha256Hex(of: $0) }
    }
    whole.count = parts.reduce(0) { $0 + $1.count }
    whole.classNames = parts.last!.classNames
    whole.sourceFingerprint = joined(parts.map(\.sourceFingerprint))
    whole.sourcePath = parts.map(\.sourcePath).joined(separator: ", ")
    whole.preparation = parts.allSatisfy { $0.preparation == whole.preparation }
      ? whole.preparation : nil
    whole.subset = nil
    whole.masks?.fingerprint = joined(parts.compactMap { $0.masks?.fingerprint })
    return whole
  }

  /// Reads and checks the index of `folder`; not yet the shards that it names.
  public static func read(in folder: String) throws -> LatentCacheIndex {
    let path = folder + "/" + fileName
    guard FileManager.default.fileExists(atPath: path) else {
      throw UserError(
        .missingInput, folder, found: "no \(fileName)", expected: "a finished latent cache",
        advice: "run latentflow encode, again if it was interrupted")
    }
    let index: LatentCacheIndex = try readJSON(path, formats: formats)
    try index.check(path)
    return index
  }

  private func check(_ path: String) throws {
    func require(_ holds: Bool, _ place: String, _ found: String, _ expected: String) throws {
      if !holds { throw UserError(.badData, path, at: place, found: found, expected: expected) }
    }
    try require(parts?.isEmpty != true, "parts", "none", "at least one, or no such field")
    for d in encodings + [description] { try check(d, require) }
    let counts = encodings.map(\.count)
    try require(
      counts.reduce(0, +) == description.count, "parts", "parts of \(counts) rows",
      "\(description.count) rows in all")
    let shardCount = encodings.reduce(0) { $0 + ($1.count - 1) / $1.shardRows + 1 }
    try require(
      shards.count == shardCount, "shards", "\(shards.count) shards", "\(shardCount)")
    let channels = description.latentShape[2]
    try require(
      channelMean.count == channels && channelDeviation.count == channels, "channelMean",
      "\(channelMean.count) means, \(channelDeviation.count) deviations", "\(channels) each")
    for part in encodings {
      if let name = description.difference(from: part) {
        throw UserError(
          .badData, path, at: "parts", found: "another \(name) in one of them",
          expected: "the same in all")
      }
    }
  }

  private func check(
    _ d: LatentCacheDescription, _ require: (Bool, String, String, String) throws -> Void
  ) throws {
    func isShape(_ shape: [Int]) -> Bool {
      shape.count == 3 && shape.allSatisfy { (1...1 << 16).contains($0) }
    }
    try require(isShape(d.latentShape), "latentShape", "\(d.latentShape)", "[H, W, C]")
    try require(
      d.count > 0 && d.count < 1 << 40 && d.shardRows > 0 && d.shardRows < 1 << 30, "count",
      "\(d.count) rows in shards of \(d.shardRows)", "positive numbers")
    try require(
      d.scaleFactor.isFinite && d.scaleFactor > 0, "scaleFactor", "\(d.scaleFactor)",
      "a positive number")
    if let masks = d.masks {
      try require(
        isShape([masks.height, masks.width, 1]) && (1...256).contains(masks.classes), "masks",
        "\(masks.height)×\(masks.width), \(masks.classes) classes", "1 to 256 classes")
    }
    if let low = d.lowResolution {
      try require(
        isShape(low.latentShape), "lowResolution", "\(low.latentShape)", "[h, w, C]")
    }
  }
}
