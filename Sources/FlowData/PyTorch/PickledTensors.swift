import Diagnostics

/// What a pickle held, once it has been read: tensors by name, and where their bytes are.
struct PickledTensors: Sendable {
  let names: [String]
  let scalars: String?
  let storages: [PickleHeap.Storage]
  /// First byte behind the pickle.
  let end: Int
  private let numbers: [String: Int]
  private let tensors: [PickleHeap.Tensor]
  private let decoded: [[UInt8]]

  /// Values may take this much beside the size of the file.
  private static let slack = 24 << 20
  /// A tensor may be this much larger than its file: views can repeat what is stored once.
  private static let expansionSlack = 32 << 20

  /// - Parameters:
  ///   - fileSize: bytes of the file that the pickle is in.
  ///   - place: what the pickle is called in messages, behind its byte.
  init(
    _ bytes: UnsafeRawBufferPointer, at start: Int = 0, _ dialect: PickleInterpreter.Dialect,
    fileSize: Int, path: String, place: String = "", bareName: String = "tensor"
  ) throws {
    var interpreter = PickleInterpreter(
      bytes, at: start, dialect, limit: PickledTensors.slack + fileSize)
    let tree: TensorTree
    do {
      let root = try interpreter.run()
      tree = try TensorTree(interpreter.heap, root, bytes, bareName: bareName)
    } catch {
      throw UserError(
        .badData, path, at: "byte \(error.byte)\(place)", found: error.found,
        expected: error.expected)
    }
    let heap = interpreter.heap
    let limit = fileSize + PickledTensors.expansionSlack
    for (name, number) in tree.tensors {
      let tensor = heap.tensors[number]
      guard let size = checkedByteCount(of: tensor.layout.dims, width: tensor.dtype.width),
        size <= limit
      else {
        throw UserError(
          .badData, path, at: "tensor \(shown(name))",
          found: "a view of shape "
            + "\(tensor.layout.dims) that repeats its storage far beyond the file's size",
          expected: "at most \(limit) bytes")
      }
    }
    (names, numbers, scalars) = (tree.names, tree.tensors, tree.scalars)
    (storages, tensors, decoded) = (heap.storages, heap.tensors, heap.decoded)
    end = interpreter.position
  }

  func contains(_ name: String) -> Bool { numbers[name] != nil }

  subscript(_ name: String) -> PickleHeap.Tensor? { numbers[name].map { tensors[$0] } }

  /// The bytes that `tensor` lies in, where they came with the pickle.
  func withPickledBytes<Result>(
    _ source: PickleHeap.Tensor.Source, _ pickle: UnsafeRawBufferPointer,
    _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    switch source {
    case .pickle(let span):
      try body(UnsafeRawBufferPointer(rebasing: pickle[span.range]))
    case .decoded(let number): try decoded[number].withUnsafeBytes(body)
    case .storage: preconditionFailure("a storage is no part of the pickle")
    }
  }
}

/// Calls `body` with the elements of a tensor, little-endian and row-major: in place where they lie
/// so in `memory`, else gathered.
func withElements<Result>(
  _ layout: StridedLayout, _ dtype: SafetensorsType, isBigEndian: Bool = false,
  in memory: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> Result
) throws -> Result {
  let width = dtype.width
  let count = layout.dims.reduce(width, *)
  if count == 0 { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
  if layout.isRowMajor && !isBigEndian {
    let start = layout.offset * width
    return try body(UnsafeRawBufferPointer(rebasing: memory[start..<start + count]))
  }
  let gathered = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
  defer { gathered.deallocate() }
  layout.gather(memory, width: width, into: gathered.baseAddress!)
  if isBigEndian { swapBytes(gathered, unit: NumPyType.swapUnit(dtype)) }
  return try body(UnsafeRawBufferPointer(gathered))
}
