import Diagnostics
import FlowTensor

/// A `.npy` array, an `.npz` archive of them, or the pickled dictionary of arrays that `numpy.save`
/// makes of statistics.
public final class NumPyFile: TensorSource {
  /// The name of the tensor in an `.npy` file.
  public static let bareName = "array"

  private struct Array: Sendable {
    /// nil for the file itself.
    let member: ZipArchive.Entry?
    let dataStart: Int
    let dtype: SafetensorsType
    let layout: StridedLayout
    let isBigEndian: Bool
  }

  private enum Content {
    case arrays([String: Array])
    case pickled(PickledTensors)
  }

  public let format: TensorFormat
  public let names: [String]
  public let metadata: [String: String]
  public var path: String { file.path }
  public var byteCount: Int { file.bytes.count }

  private let file: MappedFile
  private let archive: ZipArchive?
  private let content: Content

  public convenience init(_ path: String) throws {
    let file = try MappedFile(path)
    if ZipArchive.isZip(file.bytes) {
      try self.init(file, ZipArchive(file))
    } else {
      try self.init(file)
    }
  }

  /// A `.npy` file.
  init(_ file: MappedFile) throws {
    (self.file, archive, format) = (file, nil, .npy)
    let header = try NumPyHeader(file.bytes, path: file.path)
    switch header.type.element {
    case .plain(let dtype):
      let layout = try header.layout(dtype, end: file.bytes.count, path: file.path)
      content = .arrays([
        NumPyFile.bareName: Array(
          member: nil, dataStart: header.dataStart, dtype: dtype, layout: layout,
          isBigEndian: header.type.isBigEndian)
      ])
      (names, metadata) = ([NumPyFile.bareName], [:])
    case .object:
      guard header.dims.isEmpty else {
        throw UserError(
          .badData, file.path, at: "byte 10", found: "an array \(header.dims) of objects",
          expected: "numbers, or one pickled dictionary")
      }
      let tensors = try PickledTensors(
        file.bytes, at: header.dataStart, .numpy, fileSize: file.bytes.count, path: file.path,
        bareName: NumPyFile.bareName)
      guard tensors.end == file.bytes.count else {
        throw UserError(
          .badData, file.path, at: "byte \(tensors.end)",
          found: "\(file.bytes.count - tensors.end) bytes behind the pickle",
          expected: "the end of the file")
      }
      content = .pickled(tensors)
      names = tensors.names
      metadata = tensors.scalars.map { ["scalars": $0] } ?? [:]
    }
  }

  /// An `.npz` archive.
  init(_ file: MappedFile, _ archive: ZipArchive) throws {
    (self.file, self.archive, format) = (file, archive, .npz)
    var arrays: [String: Array] = [:]
    var names: [String] = []
    for entry in archive.entries {
      guard entry.name.hasSuffix(".npy") else {
        throw UserError(
          .badData, file.path, at: "member \(shown(entry.name))", found: "no .npy array",
          expected: "an .npz archive of arrays, or a file of torch.save")
      }
      let name = String(entry.name.dropLast(4))
      arrays[name] = try NumPyFile.array(entry, archive, file)
      names.append(name)
    }
    (self.names, metadata, content) = (names, [:], .arrays(arrays))
  }

  private static func array(
    _ entry: ZipArchive.Entry, _ archive: ZipArchive, _ file: MappedFile
  ) throws -> Array {
    let member = " of member \(shown(entry.name))"
    // The header and what stands before it: 12 bytes in versions 2 and 3.
    return try archive.withPrefix(entry, atMost: NumPyHeader.maximumLength + 12) { bytes in
      let header = try NumPyHeader(bytes, path: file.path, member: member)
      guard case .plain(let dtype) = header.type.element else {
        throw UserError(
          .badData, file.path, at: "byte 10\(member)", found: "an array of objects",
          expected: "numbers")
      }
      let layout = try header.layout(dtype, end: entry.count, path: file.path, member: member)
      return Array(
        member: entry, dataStart: header.dataStart, dtype: dtype, layout: layout,
        isBigEndian: header.type.isBigEndian)
    }
  }

  public func contains(_ name: String) -> Bool {
    switch content {
    case .arrays(let arrays): arrays[name] != nil
    case .pickled(let tensors): tensors.contains(name)
    }
  }

  private func record(_ name: String) throws -> (dtype: SafetensorsType, dims: [Int]) {
    switch content {
    case .arrays(let arrays):
      if let array = arrays[name] { return (array.dtype, array.layout.dims) }
    case .pickled(let tensors):
      if let tensor = tensors[name] { return (tensor.dtype, tensor.layout.dims) }
    }
    throw noTensor(name)
  }

  public func dtype(_ name: String) throws -> SafetensorsType { try record(name).dtype }
  public func shape(_ name: String) throws -> Shape { Shape(try record(name).dims) }

  public func withBytes<Result>(
    _ name: String, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    switch content {
    case .arrays(let arrays):
      guard let array = arrays[name] else { throw noTensor(name) }
      func use(_ bytes: UnsafeRawBufferPointer) throws -> Result {
        try withElements(
          array.layout, array.dtype, isBigEndian: array.isBigEndian,
          in: UnsafeRawBufferPointer(rebasing: bytes[array.dataStart...]), body)
      }
      guard let archive, let member = array.member else { return try use(file.bytes) }
      return try archive.withBytes(member, use)
    case .pickled(let tensors):
      guard let tensor = tensors[name] else { throw noTensor(name) }
      return try tensors.withPickledBytes(tensor.source, file.bytes) { memory in
        try withElements(
          tensor.layout, tensor.dtype, isBigEndian: tensor.isBigEndian, in: memory, body)
      }
    }
  }
}
