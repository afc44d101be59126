import Diagnostics
import FlowTensor

/// Samples in tar shards: consecutive members whose paths agree up to the first dot of their base
/// names are the fields of one sample (`000012.png`, `000012.cls`, `000012.latent.npy`).
///
/// The picture is the field whose last extension is that of an image file; the label is the number
/// in the field `cls`, else the whole number "label" of the field `json`, and either all samples
/// have one or none does.
public struct WebDataset: ImageSource {
  public let path: String
  public let classNames: [String]?
  public let count: Int
  private let shards: [TarArchive]
  private let samples: [Sample]

  /// The members of one sample.
  private struct Sample {
    var shard: Int32
    var members: Range<Int32>
    /// The member that is the picture; -1 if there is none.
    var picture: Int32 = -1
    var label: Int32 = -1
  }

  /// - Parameter pattern: a tar file, or several by braces (see `BraceExpansion`).
  /// Throws `.missingInput`, `.usage`, or `.badData` naming shard and sample.
  public init(_ pattern: String) throws {
    try self.init(pattern, shards: BraceExpansion.names(pattern))
  }

  init(_ path: String, shards names: [String]) throws {
    self.path = path
    shards = try names.map { try TarArchive($0) }
    var samples: [Sample] = []
    for (i, shard) in shards.enumerated() { samples += try Self.group(shard, Int32(i)) }
    guard let first = samples.first else {
      throw UserError(.badData, path, found: "no samples", expected: "files in the archive")
    }
    for sample in samples where (sample.label < 0) != (first.label < 0) {
      throw UserError(
        .badData, shards[Int(sample.shard)].path,
        at: "sample \(Self.key(shards, sample))",
        found: sample.label < 0 ? "no label" : "a label",
        expected: "a label for every sample, or for none")
    }
    let classes = samples.reduce(-1) { max($0, $1.label) } + 1
    classNames = classes > 0 ? (0..<classes).map(String.init) : nil
    self.samples = samples
    count = samples.count
  }

  public func label(_ i: Int) -> Int? { samples[i].label < 0 ? nil : Int(samples[i].label) }

  public func key(_ i: Int) -> String { Self.key(shards, samples[i]) }

  /// The key; where there are several shards, after the shard's name.
  public func name(_ i: Int) -> String {
    guard shards.count > 1 else { return key(i) }
    return "\(lastName(of: shards[Int(samples[i].shard)].path))/\(key(i))"
  }

  public func place(_ i: Int) -> String { "\(shards[Int(samples[i].shard)].path)/\(key(i))" }

  public var storedBytes: Int { shards.reduce(0) { $0 + $1.byteCount } }

  public func contents(_ i: Int) throws -> ImageContents {
    let sample = samples[i]
    guard sample.picture >= 0 else {
      throw UserError(
        .badData, place(i), found: "the fields \(fields(i).joined(separator: ", "))",
        expected: "a field png, jpg, jpeg or webp")
    }
    let shard = shards[Int(sample.shard)]
    return .encoded(shard.bytes(shard.members[Int(sample.picture)]))
  }

  /// Names of the fields of a sample, in the order of the archive: "image.png", "cls".
  public func fields(_ i: Int) -> [String] {
    let shard = shards[Int(samples[i].shard)]
    return samples[i].members.map { Self.split(shard.members[Int($0)].name).field }
  }

  /// The bytes of a field; nil if the sample has none of the name.
  public func field(_ i: Int, _ name: String) -> [UInt8]? {
    let shard = shards[Int(samples[i].shard)]
    for m in samples[i].members where Self.split(shard.members[Int(m)].name).field == name {
      return shard.bytes(shard.members[Int(m)])
    }
    return nil
  }

  private static func key(_ shards: [TarArchive], _ sample: Sample) -> String {
    split(shards[Int(sample.shard)].members[Int(sample.members.lowerBound)].name).key
  }

  /// "a/b.c/000012.latent.npy" → "a/b.c/000012" and "latent.npy".
  private static func split(_ name: String) -> (key: String, field: String) {
    let base = name.lastIndex(of: "/").map { name.index(after: $0) } ?? name.startIndex
    guard let dot = name[base...].firstIndex(of: ".") else { return (name, "") }
    return (String(name[..<dot]), String(name[name.index(after: dot)...]).lowercased())
  }

  private static func group(_ shard: TarArchive, _ index: Int32) throws -> [Sample] {
    var samples: [Sample] = []
    var keys: Set<String> = []
    var (key, fields) = ("", Set<String>())
    for (m, member) in shard.members.enumerated() {
      let (memberKey, field) = split(member.name)
      // WebDataset leaves files without an extension, and its own notes, alone.
      if field.isEmpty || lastName(of: memberKey).hasPrefix("__") { continue }
      if memberKey != key || samples.isEmpty {
        guard keys.insert(memberKey).inserted else {
          throw fail(shard, memberKey, "parts that do not lie together", "one run of members")
        }
        (key, fields) = (memberKey, [])
        samples.append(Sample(shard: index, members: Int32(m)..<Int32(m)))
      }
      guard fields.insert(field).inserted else {
        throw fail(shard, key, "the field \(field) twice", "each field once")
      }
      let last = samples.count - 1
      samples[last].members = samples[last].members.lowerBound..<Int32(m) + 1
      try note(field, Int32(m), shard, key, &samples[last])
    }
    return samples
  }

  private static func note(
    _ field: String, _ m: Int32, _ shard: TarArchive, _ key: String, _ sample: inout Sample
  ) throws {
    switch field.split(separator: ".").last {
    case "png", "jpg", "jpeg", "webp":
      guard sample.picture < 0 else {
        throw fail(shard, key, "two pictures", "one image field")
      }
      sample.picture = m
    case "cls":
      let text = String(decoding: shard.bytes(shard.members[Int(m)]), as: UTF8.self)
      let digits = text.split(whereSeparator: \.isWhitespace)
      guard digits.count == 1, let label = Int32(digits[0]), (0..<1 << 20).contains(label) else {
        throw fail(shard, key, "the class \(text.prefix(40).debugDescription)", "a number from 0")
      }
      sample.label = label
    case "json" where sample.label < 0:
      let bytes = shard.bytes(shard.members[Int(m)])
      let label = try? bytes.withUnsafeBytes { try JSONValue(parsing: $0) }["label"]?.int
      if let label, (0..<1 << 20).contains(label) { sample.label = Int32(label) }
    default: break
    }
  }

  private static func fail(
    _ shard: TarArchive, _ key: String, _ found: String, _ expected: String
  ) -> UserError {
    UserError(.badData, shard.path, at: "sample \(key)", found: found, expected: expected)
  }
}
