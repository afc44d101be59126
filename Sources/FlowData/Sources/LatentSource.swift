import Diagnostics
import FlowTensor
import Foundation

/// Numbered latents that an autoencoder made elsewhere, with class labels or without.
public protocol LatentSource: Sendable {
  var path: String { get }
  var count: Int { get }
  /// [H, W, C]
  var latentShape: [Int] { get }
  /// Whether the autoencoder's log-variances are there beside the means.
  var hasLogvar: Bool { get }
  var classNames: [String]? { get }
  func label(_ i: Int) -> Int?
  func name(_ i: Int) -> String
  /// Mean and log-variance, [H, W, C] each. Throws what is wrong with the latent's file.
  func latent(_ i: Int) throws -> (mean: [Float], logvar: [Float]?)
}

extension LatentSource {
  /// SHA-256 of labels, names and all numbers; reads everything.
  public func fingerprint() throws -> String {
    let hasher = SHA256Hasher()
    for name in classNames ?? [] { hasher.update("class \(name)\n") }
    for i in 0..<count {
      hasher.update("\(name(i))\0\(label(i).map(String.init) ?? "-")\n")
      let (mean, logvar) = try latent(i)
      mean.withUnsafeBytes { hasher.update($0) }
      logvar?.withUnsafeBytes { hasher.update($0) }
    }
    return hasher.finalizeHex()
  }
}

/// Latents as arrays: one file with all of them, or a file each in a folder or in the samples of
/// WebDataset shards. Arrays are [C, H, W], with one more extent in front where a file holds all.
///
/// Names of the arrays, the first that is there: `latent`, `latents`, `z`, `mean`, or `moments`,
/// whose channels are means and then log-variances; in `.npy` the only one. Labels: `label`,
/// `labels`, `y`, `cls`, else none; for files in folders, the folders.
public struct LatentArrays: LatentSource {
  static let keys = ["latent", "latents", "z", "mean", NumPyFile.bareName, "moments"]
  static let labelKeys = ["label", "labels", "y", "cls"]

  public let path: String
  public let count: Int
  public let latentShape: [Int]
  public let hasLogvar: Bool
  public let classNames: [String]?
  private let form: Form
  private let labels: [Int]?
  private let keys: [String]

  private enum Form: Sendable {
    /// All in one tensor, under a name.
    case stacked(any TensorSource, String)
    /// A file each, by path below the folder.
    case files([String])
    case samples(WebDataset)
  }

  /// - Parameters:
  ///   - path: a file, a folder, or tars (see `BraceExpansion`).
  ///   - channels: of the autoencoder's latents: twice as many are means and log-variances.
  ///   - key: the array's name; nil takes the first that is there of the known ones.
  /// Throws `.missingInput`, `.io`, or `.badData` naming file and array.
  public init(_ path: String, channels: Int, key: String? = nil) throws {
    self.path = path
    let keys = key.map { [$0] } ?? Self.keys
    self.keys = keys
    let form = try Self.form(path, keys)
    self.form = form
    let shape: [Int]
    var labels: [Int]?
    var names: [String]?
    switch form {
    case .stacked(let source, let key):
      let dims = try source.shape(key).dims
      guard dims.count == 4, dims[0] > 0 else {
        throw Self.fail(path, key, "shape \(dims)", "[N, C, H, W]")
      }
      (count, shape) = (dims[0], Array(dims.dropFirst()))
      labels = try Self.labels(source, count: count)
    case .files(let files):
      count = files.count
      shape = try Self.shape(of: "\(path)/\(files[0])", keys)
      (names, labels) = Self.classes(files)
    case .samples(let set):
      count = set.count
      shape = try Self.array(Self.field(set, 0), set.place(0), keys).shape
      names = set.classNames
      labels = names == nil ? nil : (0..<set.count).map { set.label($0) ?? 0 }
    }
    guard shape.count == 3, [channels, 2 * channels].contains(shape[0]), shape.min()! > 0 else {
      throw UserError(
        .badData, path, found: "latents of shape \(shape)",
        expected: "[\(channels), H, W], or [\(2 * channels), H, W] with log-variances")
    }
    hasLogvar = shape[0] == 2 * channels
    latentShape = [shape[1], shape[2], channels]
    self.labels = labels
    classNames = names ?? labels.map { (0...($0.max() ?? 0)).map(String.init) }
  }

  private static func form(_ path: String, _ keys: [String]) throws -> Form {
    if path.hasSuffix(".tar") { return .samples(try WebDataset(path)) }
    guard isFolder(path) else {
      let source = try TensorFile.open(path)
      return .stacked(source, try key(source, keys))
    }
    var files: [String] = []
    for name in try Disk.names(in: path) where !name.hasPrefix(".") {
      if isFolder("\(path)/\(name)") {
        files += try Disk.names(in: "\(path)/\(name)").map { "\(name)/\($0)" }
      } else {
        files.append(name)
      }
    }
    files = files.filter { $0.hasSuffix(".npy") || $0.hasSuffix(".safetensors") }
    guard !files.isEmpty else {
      throw UserError(
        .badData, path, found: "no arrays", expected: "files .npy, .npz or .safetensors")
    }
    return .files(files.sorted(by: bytewiseLess))
  }

  private static func key(_ source: any TensorSource, _ keys: [String]) throws -> String {
    guard let key = keys.first(where: source.contains) else {
      throw UserError(
        .badData, source.path,
        found: "the arrays \(source.names.prefix(8).joined(separator: ", "))",
        expected: "one of \(keys.joined(separator: ", "))")
    }
    guard try source.dtype(key) != .c64 else {
      throw fail(source.path, key, "complex numbers", "real ones")
    }
    return key
  }

  private static func labels(_ source: any TensorSource, count: Int) throws -> [Int]? {
    guard let key = labelKeys.first(where: source.contains) else { return nil }
    let labels = try source.ints(key)
    guard labels.count == count, labels.allSatisfy({ (0..<1 << 20).contains($0) }) else {
      throw fail(source.path, key, "\(labels.count) labels", "\(count) numbers from 0")
    }
    return labels
  }

  /// Folders of the files are classes, if every file lies in one.
  private static func classes(_ files: [String]) -> ([String]?, [Int]?) {
    let folders = files.map { file in file.firstIndex(of: "/").map { String(file[..<$0]) } }
    guard folders.allSatisfy({ $0 != nil }) else { return (nil, nil) }
    let names = Set(folders.compactMap(\.self)).sorted(by: bytewiseLess)
    let numbers = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
    return (names, folders.map { numbers[$0!]! })
  }

  private static func field(_ set: WebDataset, _ i: Int) throws -> [UInt8] {
    guard let bytes = set.field(i, "latent.npy") ?? set.field(i, "npy") else {
      throw UserError(
        .badData, set.place(i), found: "the fields \(set.fields(i).joined(separator: ", "))",
        expected: "latent.npy")
    }
    return bytes
  }

  private static func shape(of file: String, _ keys: [String]) throws -> [Int] {
    let source = try TensorFile.open(file)
    return try source.shape(key(source, keys)).dims
  }

  /// The values of a `.npy` file in memory and their extents.
  private static func array(
    _ bytes: [UInt8], _ place: String, _ keys: [String]
  ) throws -> (values: [Float], shape: [Int]) {
    try bytes.withUnsafeBytes { raw in
      let source = try TensorFile.parse(unowned: raw, path: place)
      let key = try key(source, keys)
      return (try source.tensor(key).values, try source.shape(key).dims)
    }
  }

  private static func fail(
    _ path: String, _ key: String, _ found: String, _ expected: String
  ) -> UserError {
    UserError(.badData, path, at: "array \(key)", found: found, expected: expected)
  }

  public func label(_ i: Int) -> Int? { labels?[i] }

  public func name(_ i: Int) -> String {
    switch form {
    case .stacked: String(i)
    case .files(let files): files[i]
    case .samples(let set): set.name(i)
    }
  }

  public func latent(_ i: Int) throws -> (mean: [Float], logvar: [Float]?) {
    precondition(i >= 0 && i < count, "latent \(i) of \(count)")
    let (h, w, c) = (latentShape[0], latentShape[1], latentShape[2])
    let channels = hasLogvar ? 2 * c : c
    let (values, place) = try stored(i, channels * h * w)
    guard values.count == channels * h * w, values.allSatisfy(\.isFinite) else {
      throw UserError(
        .badData, place,
        found: values.count == channels * h * w ? "a value that is no number"
          : "\(values.count) values",
        expected: "\(channels * h * w) numbers, [\(channels), \(h), \(w)]")
    }
    func channelsLast(_ planes: ArraySlice<Float>) -> [Float] {
      let start = planes.startIndex
      return (0..<h * w * c).map { planes[start + $0 % c * h * w + $0 / c] }
    }
    return (
      channelsLast(values[..<(c * h * w)]),
      hasLogvar ? channelsLast(values[(c * h * w)...]) : nil
    )
  }

  private func stored(_ i: Int, _ size: Int) throws -> (values: [Float], place: String) {
    switch form {
    case .stacked(let source, let key):
      let width = try source.dtype(key).width
      let values = try source.withBytes(key) { raw in
        [Float](unsafeUninitializedCapacity: size) { out, filled in
          let row = raw[i * size * width..<(i + 1) * size * width]
          if let type = try? source.dtype(key), let base = out.baseAddress {
            widen(UnsafeRawBufferPointer(rebasing: row), type, into: base)
          }
          filled = size
        }
      }
      return (values, "\(path), latent \(i)")
    case .files(let files):
      let source = try TensorFile.open("\(path)/\(files[i])")
      return (try source.tensor(Self.key(source, keys)).values, "\(path)/\(files[i])")
    case .samples(let set):
      return (try Self.array(Self.field(set, i), set.place(i), keys).values, set.place(i))
    }
  }
}
