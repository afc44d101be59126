/// Writes a state dictionary as `torch.save` does (PyTorch 1.6 and later): a zip archive of stored
/// members, data at multiples of 64 bytes, and a pickle of protocol 2 that
/// `torch.load(weights_only=True)` reads. Equal tensors are equal files.
public enum PyTorchWriter {
  /// Beside the pickle: the strings of `TensorSource.metadata`. PyTorch does not look at it.
  static let metadataMember = "extra/metadata.json"
  private static let root = "archive/"

  /// Puts the file at `path` whole or not at all. Tensors that share memory in `source` are
  /// written apart. Throws what reading throws, and `.io` if the disk is full or refuses.
  @discardableResult
  public static func writeAtomically(
    _ source: any TensorSource, to path: String, disk: Disk = .local
  ) throws -> FileRecord {
    let pickle = try StateDictionaryPickle(source).bytes
    return try disk.writeAtomically(to: path) { file in
      let zip = ZipWriter(file)
      try add("data.pkl", pickle, to: zip)
      try add("byteorder", Array("little".utf8), to: zip)
      if !source.metadata.isEmpty {
        try add(metadataMember, Array(json(source.metadata).utf8), to: zip)
      }
      for (number, name) in source.names.enumerated() {
        try source.withBytes(name) { try zip.add("\(root)data/\(number)", $0) }
      }
      try add("version", Array("3\n".utf8), to: zip)
      try zip.finish()
    }
  }

  private static func add(_ name: String, _ bytes: [UInt8], to zip: ZipWriter) throws {
    try bytes.withUnsafeBytes { try zip.add(root + name, $0) }
  }

  private static func json(_ strings: [String: String]) -> String {
    let members = strings.sorted { precedes($0.key, $1.key) }
      .map { "\(quoted($0.key)): \(quoted($0.value))" }
    return "{\(members.joined(separator: ", "))}"
  }
}

/// The pickle of an OrderedDict of tensors, storage `i` for the i-th.
private struct StateDictionaryPickle {
  private(set) var bytes: [UInt8] = [0x80, 2]

  init(_ source: any TensorSource) throws {
    emit(.global, "collections\nOrderedDict\n")
    emit(.emptyTuple)
    emit(.reduce)
    emit(.mark)
    for (number, name) in source.names.enumerated() {
      emit(text: name)
      try emit(tensor: number, source.dtype(name), source.shape(name).dims)
    }
    emit(.setItems)
    emit(.stop)
  }

  /// _rebuild_tensor_v2(storage, 0, extents, strides, False, OrderedDict()); version 3, with the
  /// type behind it, for types that have no storage class of their own.
  private mutating func emit(tensor number: Int, _ dtype: SafetensorsType, _ dims: [Int]) {
    let storage = StateDictionaryPickle.storageClasses[dtype]
    emit(.global, "torch._utils\n_rebuild_tensor_\(storage == nil ? "v3" : "v2")\n")
    emit(.mark)
    emit(.mark)
    emit(text: "storage")
    emit(.global, storage.map { "torch\n\($0)Storage\n" } ?? "torch.storage\nUntypedStorage\n")
    emit(text: "\(number)")
    emit(text: "cpu")
    let elements = dims.reduce(1, *)
    emit(elements * (storage == nil ? dtype.width : 1))
    emit(.tuple)
    emit(.binPersID)
    emit(0)
    emit(tuple: dims)
    emit(tuple: StridedLayout(rowMajor: dims).strides)
    emit(.newFalse)
    emit(.global, "collections\nOrderedDict\n")
    emit(.emptyTuple)
    emit(.reduce)
    if let name = StateDictionaryPickle.scalarTypes[dtype] { emit(.global, "torch\n\(name)\n") }
    emit(.tuple)
    emit(.reduce)
  }

  private mutating func emit(_ opcode: PickleOpcode, _ argument: String = "") {
    bytes.append(opcode.rawValue)
    bytes += argument.utf8
  }

  private mutating func emit(text: String) {
    emit(.binUnicode)
    withUnsafeBytes(of: UInt32(text.utf8.count).littleEndian) { bytes += $0 }
    bytes += text.utf8
  }

  private mutating func emit(_ number: Int) {
    if let byte = UInt8(exactly: number) {
      emit(.binInt1)
      bytes.append(byte)
    } else {
      emit(.long1)
      bytes.append(8)
      withUnsafeBytes(of: Int64(number).littleEndian) { bytes += $0 }
    }
  }

  private mutating func emit(tuple: [Int]) {
    emit(.mark)
    for number in tuple { emit(number) }
    emit(.tuple)
  }

  private static let storageClasses: [SafetensorsType: String] = [
    .f64: "Double", .f32: "Float", .f16: "Half", .bf16: "BFloat16", .i64: "Long", .i32: "Int",
    .i16: "Short", .i8: "Char", .u8: "Byte", .bool: "Bool", .c64: "ComplexFloat",
  ]

  private static let scalarTypes: [SafetensorsType: String] = [
    .u16: "uint16", .u32: "uint32", .u64: "uint64", .f8e4m3: "float8_e4m3fn",
    .f8e5m2: "float8_e5m2",
  ]
}
