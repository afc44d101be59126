import Diagnostics

/// torch.save's form before PyTorch 1.6: pickles of a magic number, a protocol version, the sizes
/// of types, the object and its storages' keys; then each storage: count of elements, data.
struct PyTorchLegacy {
  let tensors: PickledTensors
  /// Storage key → its bytes in the file.
  let ranges: [String: Range<Int>]

  /// Pickled 0x1950a86a20f9469cfc6c: what such a file begins with.
  private static let magic: [UInt8] = [
    0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
  ]

  static func isLegacy(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.starts(with: magic) }

  init(_ file: MappedFile) throws {
    guard PyTorchLegacy.isLegacy(file.bytes) else {
      throw UserError(
        .badData, file.path, at: "byte 0", found: "no magic number of torch.save",
        expected: "a file of torch.save")
    }
    var position = PyTorchLegacy.magic.count
    // Protocol version and type sizes: only the byte order matters, and is checked.
    _ = try PyTorchLegacy.object(file, &position)
    let system = try PyTorchLegacy.object(file, &position)
    guard !PyTorchLegacy.saysBigEndian(system, file) else {
      throw UserError(
        .badData, file.path, at: "byte \(position)", found: "big-endian data",
        expected: "little-endian")
    }
    tensors = try PickledTensors(
      file.bytes, at: position, .torch, fileSize: file.bytes.count, path: file.path)
    position = tensors.end
    let keys = try PyTorchLegacy.keys(file, &position)
    var widths: [String: Int] = [:]
    for storage in tensors.storages { widths[storage.key] = storage.dtype?.width ?? 1 }
    var ranges: [String: Range<Int>] = [:]
    var reader = ByteReader(file.bytes, at: position)
    for key in keys {
      let start = reader.position
      guard let width = widths[key], let count = reader.integer(Int64.self),
        let size = checkedByteCount(of: [Int(count)], width: width),
        let range = reader.take(size)
      else {
        throw UserError(
          .badData, file.path, at: "byte \(start)", found: "no whole storage \(shown(key))",
          expected: "its count of elements and its data", advice: "the file may be cut off")
      }
      ranges[key] = range
    }
    self.ranges = ranges
  }

  /// Reads a small pickle at `position`, and moves behind it.
  private static func object(
    _ file: MappedFile, _ position: inout Int
  ) throws -> (heap: PickleHeap, root: PickleValue) {
    var interpreter = PickleInterpreter(
      file.bytes, at: position, .torch, limit: file.bytes.count + 8 << 20)
    do {
      let root = try interpreter.run()
      position = interpreter.position
      return (interpreter.heap, root)
    } catch {
      throw UserError(
        .badData, file.path, at: "byte \(error.byte)", found: error.found,
        expected: error.expected)
    }
  }

  private static func saysBigEndian(
    _ object: (heap: PickleHeap, root: PickleValue), _ file: MappedFile
  ) -> Bool {
    guard let items = object.heap.items(object.root, .dictionary) else { return false }
    for index in stride(from: 0, to: items.count, by: 2) {
      if case .text(let span) = items[index], case .bool(let isLittle) = items[index + 1],
        file.bytes[span.range].elementsEqual("little_endian".utf8)
      {
        return !isLittle
      }
    }
    return false
  }

  private static func keys(_ file: MappedFile, _ position: inout Int) throws -> [String] {
    let start = position
    let (heap, root) = try object(file, &position)
    func failure() -> UserError {
      UserError(
        .badData, file.path, at: "byte \(start)", found: "no list of storage keys",
        expected: "one, of text")
    }
    guard let items = heap.items(root, .list) else { throw failure() }
    return try items.map { item in
      guard case .text(let span) = item,
        let key = String(validating: file.bytes[span.range], as: UTF8.self)
      else { throw failure() }
      return key
    }
  }
}
