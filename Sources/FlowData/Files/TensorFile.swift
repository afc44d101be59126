import Diagnostics
import FlowTensor
import Foundation

/// Opens whatever holds weights: a safetensors file, what torch.save wrote (`.pth`, `.pt`, `.ckpt`,
/// `.bin`, of any age), numpy's `.npy` and `.npz`, or a diffusers folder.
public enum TensorFile {
  /// Of a folder, in the order of preference.
  static let namesInFolder = [
    "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin", "model.safetensors",
    "pytorch_model.bin",
  ]

  /// Whether `open` finds weights in the folder.
  public static func holdsWeights(folder: String) -> Bool {
    namesInFolder.contains { FileManager.default.fileExists(atPath: folder + "/" + $0) }
  }

  /// Recognises the file by its first bytes; the name decides only for `.safetensors`.
  /// Throws `.missingInput` if there is nothing, `.badData` naming file and byte or key if it is
  /// not what it claims to be.
  public static func open(_ path: String) throws -> any TensorSource {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      return try open(folder: path)
    }
    return try parse(MappedFile(path))
  }

  /// The same for bytes in memory, which must outlive the result and all that is read from it.
  public static func parse(
    unowned bytes: UnsafeRawBufferPointer, path: String
  ) throws -> any TensorSource {
    try parse(MappedFile(unowned: bytes, path: path))
  }

  /// Interprets a bare pickle as that of a torch.save archive. For tests: in an archive, its
  /// checksum would hide every change.
  package static func probe(pickle bytes: UnsafeRawBufferPointer, path: String) throws {
    _ = try PickledTensors(bytes, .torch, fileSize: bytes.count, path: path)
  }

  /// The member of a zip archive whose name ends with `suffix`; nil if there is none. For tests.
  package static func member(_ suffix: String, ofZip path: String) throws -> [UInt8]? {
    let archive = try ZipArchive(MappedFile(path))
    let entry = archive.entries.first { $0.name.hasSuffix(suffix) }
    return try entry.map { try archive.withBytes($0) { Array($0) } }
  }

  static func parse(_ file: MappedFile) throws -> any TensorSource {
    let bytes = file.bytes
    if file.path.hasSuffix(".safetensors") { return try SafetensorsFile(file) }
    if ZipArchive.isZip(bytes) {
      let archive = try ZipArchive(file)
      let isNumPy =
        archive.entries.contains { $0.name.hasSuffix(".npy") }
        && !archive.entries.contains { $0.name.hasSuffix("data.pkl") }
      return isNumPy ? try NumPyFile(file, archive) : try PyTorchFile(file, archive)
    }
    if NumPyHeader.isNumPy(bytes) { return try NumPyFile(file) }
    if PyTorchLegacy.isLegacy(bytes) { return try PyTorchFile(legacy: file) }
    if bytes.count > 8, bytes[8] == UInt8(ascii: "{") { return try SafetensorsFile(file) }
    throw unknown(file)
  }

  private static func unknown(_ file: MappedFile) -> UserError {
    let bytes = file.bytes
    var found = "none of the formats read here"
    var advice: String?
    if bytes.isEmpty {
      (found, advice) = ("an empty file", "fetch it again")
    } else if bytes.starts(with: "version https://git-lfs".utf8) {
      (found, advice) = ("a git-lfs pointer in place of the file", "run `git lfs pull`")
    } else if bytes[0] == 0x80 {
      (found, advice) = ("a bare pickle", "save it with torch.save or as safetensors")
    } else if bytes.starts(with: "<!DOCTYPE".utf8) || bytes.starts(with: "<html".utf8) {
      (found, advice) = ("a web page in place of the file", "fetch it again")
    }
    return UserError(
      .badData, file.path, at: "byte 0", found: found,
      expected: "safetensors, torch.save's, .npy or .npz", advice: advice)
  }

  /// A diffusers folder: weights, and `config.json` as the entry `config` of the metadata.
  private static func open(folder: String) throws -> any TensorSource {
    func exists(_ name: String) -> Bool {
      FileManager.default.fileExists(atPath: folder + "/" + name)
    }
    guard let name = namesInFolder.first(where: exists) else {
      throw UserError(
        .missingInput, folder, found: "a folder without weights",
        expected: "one of \(namesInFolder.joined(separator: ", "))")
    }
    let source = try open(folder + "/" + name)
    guard exists("config.json") else { return source }
    let text = try configuration(folder + "/config.json")
    return TensorSelection(
      of: source, names: source.names.map { ($0, $0) },
      metadata: source.metadata.merging([configKey: text]) { _, new in new })
  }

  /// The text of a JSON file.
  private static func configuration(_ path: String) throws -> String {
    let file = try MappedFile(path)
    defer { withExtendedLifetime(file) {} }
    let limit = 1 << 20
    guard file.bytes.count <= limit else {
      throw UserError(
        .badData, file.path, found: "\(file.bytes.count) bytes", expected: "at most \(limit)")
    }
    do {
      _ = try JSONValue(parsing: file.bytes)
    } catch {
      throw UserError(
        .badData, file.path, at: "byte \(error.byte)", found: error.reason, expected: "JSON")
    }
    return String(decoding: file.bytes, as: UTF8.self)
  }

  /// The metadata entry that holds a diffusers folder's `config.json`.
  public static let configKey = "config"
}

/// Some tensors of a source, under other names.
public final class TensorSelection: TensorSource {
  public let names: [String]
  public let metadata: [String: String]
  public var path: String { source.path }
  public var format: TensorFormat { source.format }
  public var byteCount: Int { source.byteCount }
  private let source: any TensorSource
  /// Name here → name in the source.
  private let originals: [String: String]
  private let shapes: [String: Shape]

  /// - Parameters:
  ///   - names: the name here and the name in `source`, each of which is there.
  ///   - shapes: of tensors that get another one of as many elements, by their names here.
  ///   - metadata: nil for that of `source`.
  public init(
    of source: any TensorSource, names: [(String, String)], shapes: [String: Shape] = [:],
    metadata: [String: String]? = nil
  ) {
    self.source = source
    self.shapes = shapes
    self.names = names.map(\.0)
    self.metadata = metadata ?? source.metadata
    originals = Dictionary(names, uniquingKeysWith: { first, _ in first })
  }

  /// The tensors whose name begins with `prefix`, without it.
  public convenience init(of source: any TensorSource, below prefix: String) {
    self.init(
      of: source,
      names: source.names.filter { $0.hasPrefix(prefix) }
        .map { (String($0.dropFirst(prefix.count)), $0) })
  }

  public func contains(_ name: String) -> Bool { originals[name] != nil }

  private func original(_ name: String) throws -> String {
    guard let original = originals[name] else { throw noTensor(name) }
    return original
  }

  public func dtype(_ name: String) throws -> SafetensorsType {
    try source.dtype(original(name))
  }

  public func shape(_ name: String) throws -> Shape {
    try shapes[name] ?? source.shape(original(name))
  }

  public func withBytes<Result>(
    _ name: String, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    try source.withBytes(original(name), body)
  }
}
