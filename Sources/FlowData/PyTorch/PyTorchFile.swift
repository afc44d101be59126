import Diagnostics
import FlowTensor
import Synchronization

/// What `torch.save` wrote: the zip form (PyTorch 1.6 and later) or the one before it.
///
/// The file is mapped and the pickle in it interpreted by `PickleInterpreter`, which runs nothing;
/// every tensor's extents are checked against its storage before a byte of data is read.
public final class PyTorchFile: TensorSource {
  /// Where a storage's bytes are.
  private enum Place {
    case member(ZipArchive.Entry)
    case range(Range<Int>)
    case empty
  }

  public let format: TensorFormat
  public let metadata: [String: String]
  public var path: String { file.path }
  public var names: [String] { pickled.names }
  public var byteCount: Int { file.bytes.count }

  private let file: MappedFile
  private let archive: ZipArchive?
  /// Of the pickle, where it is a member of the archive.
  private let pickleEntry: ZipArchive.Entry?
  private let pickled: PickledTensors
  private let places: [Place]
  /// Storages whose checksum has been compared.
  private let verified = Mutex<Set<Int>>([])

  public convenience init(_ path: String) throws {
    let file = try MappedFile(path)
    if ZipArchive.isZip(file.bytes) {
      try self.init(file, ZipArchive(file))
    } else {
      try self.init(legacy: file)
    }
  }

  /// The zip form.
  init(_ file: MappedFile, _ archive: ZipArchive) throws {
    let suffix = "data.pkl"
    guard
      let entry = archive.entries.first(where: {
        $0.name == suffix || $0.name.hasSuffix("/" + suffix)
      })
    else {
      throw UserError(
        .badData, file.path, found: "a zip archive without \(suffix)",
        expected: "a file of torch.save, or an .npz")
    }
    let root = String(entry.name.dropLast(suffix.count))
    if let order = archive.entry(root + "byteorder") {
      let isLittle = try archive.withBytes(order) { $0.elementsEqual("little".utf8) }
      guard isLittle else {
        throw UserError(
          .badData, file.path, at: "member \(shown(order.name))", found: "another byte order",
          expected: "little")
      }
    }
    let pickled = try archive.withBytes(entry) {
      try PickledTensors(
        $0, .torch, fileSize: file.bytes.count, path: file.path,
        place: " of member \(shown(entry.name))")
    }
    (self.file, self.archive, pickleEntry, self.pickled) = (file, archive, entry, pickled)
    format = .pytorch
    places = try pickled.storages.map { try PyTorchFile.place(of: $0, root, archive, file) }
    metadata = try PyTorchFile.metadata(pickled, archive, root, file)
  }

  /// The form before PyTorch 1.6.
  init(legacy file: MappedFile) throws {
    let content = try PyTorchLegacy(file)
    self.file = file
    (archive, pickleEntry) = (nil, nil)
    pickled = content.tensors
    format = .pytorchLegacy
    places = try pickled.storages.map { storage in
      guard storage.count > 0 else { return .empty }
      guard let range = content.ranges[storage.key], range.count == storage.byteCount else {
        throw UserError(
          .badData, file.path, at: "storage \(shown(storage.key))",
          found: content.ranges[storage.key].map { "\($0.count) bytes" } ?? "missing",
          expected: "\(storage.count) elements")
      }
      return .range(range)
    }
    metadata = pickled.scalars.map { ["scalars": $0] } ?? [:]
  }

  private static func place(
    of storage: PickleHeap.Storage, _ root: String, _ archive: ZipArchive, _ file: MappedFile
  ) throws -> Place {
    guard storage.count > 0 else { return .empty }
    let name = root + "data/" + storage.key
    guard let entry = archive.entry(name) else {
      throw UserError(
        .badData, file.path, at: "member \(shown(name))", found: "missing",
        expected: "a storage of \(storage.count) elements")
    }
    guard entry.count == storage.byteCount else {
      throw UserError(
        .badData, file.path, at: "member \(shown(name)), byte \(entry.data.lowerBound)",
        found: "\(entry.count) bytes", expected: "a storage of \(storage.count) elements")
    }
    return .member(entry)
  }

  /// Scalars of the checkpoint, and the strings that `PyTorchWriter` put beside it.
  private static func metadata(
    _ pickled: PickledTensors, _ archive: ZipArchive, _ root: String, _ file: MappedFile
  ) throws -> [String: String] {
    var result: [String: String] = [:]
    if let entry = archive.entry(root + PyTorchWriter.metadataMember) {
      let value = try archive.withBytes(entry) {
        try json($0, file.path, " of member \(shown(entry.name))")
      }
      for (key, member) in value.object ?? [:] { result[key] = member.string }
    }
    if let scalars = pickled.scalars { result["scalars"] = scalars }
    return result
  }

  private static func json(
    _ bytes: UnsafeRawBufferPointer, _ path: String, _ member: String
  ) throws -> JSONValue {
    do {
      return try JSONValue(parsing: bytes, maximumDepth: 2, maximumCount: 10_000)
    } catch {
      throw UserError(
        .badData, path, at: "byte \(error.byte)\(member)", found: error.reason, expected: "JSON")
    }
  }

  public func contains(_ name: String) -> Bool { pickled.contains(name) }

  private func record(_ name: String) throws -> PickleHeap.Tensor {
    guard let tensor = pickled[name] else { throw noTensor(name) }
    return tensor
  }

  public func dtype(_ name: String) throws -> SafetensorsType { try record(name).dtype }
  public func shape(_ name: String) throws -> Shape { Shape(try record(name).layout.dims) }

  public func withBytes<Result>(
    _ name: String, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    let tensor = try record(name)
    return try withSource(tensor.source) { memory in
      try withElements(
        tensor.layout, tensor.dtype, isBigEndian: tensor.isBigEndian, in: memory, body)
    }
  }

  private func withSource<Result>(
    _ source: PickleHeap.Tensor.Source, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    guard case .storage(let number) = source else {
      guard let archive, let pickleEntry else {
        return try pickled.withPickledBytes(source, file.bytes, body)
      }
      return try archive.withBytes(pickleEntry) {
        try pickled.withPickledBytes(source, $0, body)
      }
    }
    switch places[number] {
    case .empty: return try body(UnsafeRawBufferPointer(start: nil, count: 0))
    case .range(let range): return try body(UnsafeRawBufferPointer(rebasing: file.bytes[range]))
    case .member(let entry):
      guard let archive else { preconditionFailure("\(path): a member of no archive") }
      guard let bytes = archive.storedBytes(entry) else {
        return try archive.withBytes(entry, body)
      }
      if !verified.withLock({ $0.contains(number) }) {
        try archive.verify(bytes, are: entry)
        verified.withLock { _ = $0.insert(number) }
      }
      return try body(bytes)
    }
  }
}
