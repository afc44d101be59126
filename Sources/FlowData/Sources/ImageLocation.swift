import Diagnostics
import Foundation

/// Where pictures are: a path, or `KIND:PATH`, or with the name of a part `KIND:PATH#PART`. Without
/// a kind, the names in the folder tell it (docs/data.md).
public struct ImageLocation: Equatable, Sendable {
  public enum Kind: String, CaseIterable, Sendable {
    case folder, imagenet, cifar10, lmdb, tar, zip, celebamask, ade20k
    case cocoStuff = "coco-stuff"
    case shapes
  }

  public var kind: Kind
  public var path: String
  /// "test", "val", … ; nil for what the kind takes by itself.
  public var part: String?

  /// Throws `.usage` for a kind that there is not, `.missingInput` for a path that is not there.
  public init(_ text: String) throws {
    var rest = text[...]
    if let colon = rest.firstIndex(of: ":"), !rest[..<colon].contains("/") {
      let name = String(rest[..<colon])
      guard let named = Kind(rawValue: name) else {
        let known = Kind.allCases.map(\.rawValue)
        let near = nearestName(to: name, among: known)
        throw UserError(
          .usage, text, found: "pictures of kind \"\(name)\"",
          expected: known.joined(separator: ", "), advice: near.map { "did you mean \($0):?" })
      }
      rest = rest[rest.index(after: colon)...]
      (path, part) = Self.split(rest)
      kind = named
      return
    }
    (path, part) = Self.split(rest)
    kind = try Self.detect(path)
  }

  private static func split(_ text: Substring) -> (path: String, part: String?) {
    // A path that exists may hold a # itself.
    guard access(String(text), F_OK) != 0, let mark = text.lastIndex(of: "#") else {
      return (String(text), nil)
    }
    return (String(text[..<mark]), String(text[text.index(after: mark)...]))
  }

  private static func detect(_ path: String) throws -> Kind {
    if path.hasSuffix(".tar") { return .tar }
    if path.hasSuffix(".zip") { return .zip }
    guard isFolder(path) else {
      guard access(path, F_OK) == 0 else {
        throw UserError(
          .missingInput, path, found: "no such file or folder", expected: "pictures",
          advice: "docs/data.md tells the forms that are read")
      }
      if path.hasSuffix(".mdb") || path.hasSuffix(".lmdb") { return .lmdb }
      throw UserError(
        .badData, path, found: "a file that is no set of pictures",
        expected: "a folder, or a .tar, .zip, .lmdb or .mdb file")
    }
    func has(_ name: String) -> Bool { access("\(path)/\(name)", F_OK) == 0 }
    if has("data.mdb") || has("train.lmdb") { return .lmdb }
    if ["data_batch_1", "test_batch"].contains(where: { has($0) || has($0 + ".bin") }) {
      return .cifar10
    }
    if has("CelebA-HQ-img") { return .celebamask }
    if has("annotations/training") { return .ade20k }
    if has("annotations/train2017") || has("stuffthingmaps") { return .cocoStuff }
    if has("ILSVRC") || (has("train") && has("val")) { return .imagenet }
    let names = try Disk.names(in: path).filter { !$0.hasPrefix(".") }
    return !names.isEmpty && names.allSatisfy { $0.hasSuffix(".tar") } ? .tar : .folder
  }

  /// Whether the files are there at all.
  public var exists: Bool {
    if kind == .shapes { return true }
    let names = kind == .tar ? (try? BraceExpansion.names(path)) ?? [] : [path]
    return names.allSatisfy { access($0, F_OK) == 0 }
  }

  /// Opens the set: lists it, and checks what can be checked without decoding.
  public func open() throws -> any ImageSource {
    switch kind {
    case .folder: return try requireNoPart(ImageFolder(path))
    case .imagenet: return try ImageNetFolder(path, split: part ?? "train")
    case .cifar10: return try CIFAR10(path, split: part ?? "train")
    case .lmdb: return try lmdb()
    case .zip: return try requireNoPart(ZipImages(path))
    case .tar:
      guard isFolder(path) else { return try requireNoPart(WebDataset(path)) }
      let shards = try Disk.names(in: path).filter { $0.hasSuffix(".tar") }
      return try requireNoPart(WebDataset(path, shards: shards.map { "\(path)/\($0)" }))
    case .celebamask: return try requireNoPart(CelebAMaskHQ(path))
    case .ade20k: return try LabelMapFolders.ade20k(path, split: part ?? "training")
    case .cocoStuff: return try LabelMapFolders.cocoStuff(path, split: part ?? "train2017")
    case .shapes: return try shapes()
    }
  }

  private func requireNoPart(_ source: @autoclosure () throws -> any ImageSource) throws
    -> any ImageSource
  {
    guard part == nil else {
      throw UserError(
        .usage, path, at: "part after #", found: "\"\(part!)\"",
        expected: "none: a set of kind \(kind.rawValue) has no parts")
    }
    return try source()
  }

  /// `PATH`, or `PATH/PART.lmdb` as LFM names the parts of a set.
  private func lmdb() throws -> any ImageSource {
    var place = path
    if let part {
      place = "\(path)/\(part).lmdb"
    } else if access("\(path)/train.lmdb", F_OK) == 0 {
      place = "\(path)/train.lmdb"
    }
    let database = try LMDBFile(place)
    return TorchToolboxLMDB.isOne(database)
      ? try TorchToolboxLMDB(place, database) : try LMDBImages(place, database)
  }

  /// `shapes:COUNT@SIZE`, with seed `#SEED`.
  private func shapes() throws -> any ImageSource {
    let fields = path.split(separator: "@", omittingEmptySubsequences: false).map { Int($0) }
    let seed = part.map { UInt64($0) } ?? 0
    guard fields.count == 2, let count = fields[0], let size = fields[1], let seed,
      (1...1 << 40).contains(count), (16...maximumImageSide).contains(size)
    else {
      throw UserError(
        .usage, "shapes:\(path)", found: "no COUNT@SIZE",
        expected: "shapes:8192@64, with a seed shapes:8192@64#1")
    }
    return ShapesDataset(size: size, seed: seed, count: count)
  }
}

/// Opens pictures of any kind that is read; see `ImageLocation`.
public func openImageSource(_ location: String) throws -> any ImageSource {
  try ImageLocation(location).open()
}
