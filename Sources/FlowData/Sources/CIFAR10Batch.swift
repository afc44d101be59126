import Diagnostics

/// One file of CIFAR-10: labels, and pictures as planes, [3, 32, 32].
struct CIFAR10Batch: Sendable {
  let path: String
  let count: Int
  private let contents: Contents

  private enum Contents: Sendable {
    /// Records of a label and the planes, in place.
    case records(MappedFile)
    case arrays(labels: [Int], planes: [UInt8])
  }

  private static let planeBytes = CIFAR10.planeBytes
  private static let recordBytes = 1 + CIFAR10.planeBytes

  /// The binary form. Throws `.badData` naming the byte.
  init(binary path: String, classes: Int) throws {
    let file = try MappedFile(path)
    guard file.bytes.count > 0, file.bytes.count % Self.recordBytes == 0 else {
      throw UserError(
        .badData, path, found: "\(file.bytes.count) bytes",
        expected: "a multiple of \(Self.recordBytes), the bytes of a record")
    }
    for start in stride(from: 0, to: file.bytes.count, by: Self.recordBytes)
    where file.bytes[start] >= classes {
      throw UserError(
        .badData, path, at: "byte \(start)", found: "label \(file.bytes[start])",
        expected: "0 to \(classes - 1)")
    }
    self.path = path
    count = file.bytes.count / Self.recordBytes
    contents = .records(file)
  }

  /// The python form: a pickled dictionary with the array `data`, [N, 3072] bytes, and the list
  /// `labels`. `PickleInterpreter` reads it, which runs nothing.
  init(pickle path: String, classes: Int) throws {
    func fail(_ found: String, _ expected: String) -> UserError {
      UserError(.badData, path, found: found, expected: expected)
    }
    let file = try MappedFile(path)
    let tensors = try PickledTensors(
      file.bytes, .numpy, fileSize: file.bytes.count, path: path, bareName: "data")
    guard let data = tensors["data"], data.dtype == .u8, data.layout.dims.count == 2,
      data.layout.dims[1] == Self.planeBytes, data.layout.dims[0] > 0
    else { throw fail("no array data of bytes, [N, 3072]", "a batch of CIFAR-10") }
    let entries = tensors.scalars.flatMap { try? JSONValue(parsing: $0) }
    let labels = (entries?["labels"]?.array ?? []).compactMap(\.int)
    count = data.layout.dims[0]
    guard labels.count == count, labels.allSatisfy({ (0..<classes).contains($0) }) else {
      throw fail(
        "\(labels.count) labels for \(count) pictures, the highest \(labels.max() ?? 0)",
        "one for each, 0 to \(classes - 1)")
    }
    let planes = try tensors.withPickledBytes(data.source, file.bytes) { bytes in
      try withElements(data.layout, .u8, in: bytes) { Array($0) }
    }
    self.path = path
    contents = .arrays(labels: labels, planes: planes)
  }

  func label(_ k: Int) -> Int {
    switch contents {
    case .records(let file): Int(file.bytes[k * Self.recordBytes])
    case .arrays(let labels, _): labels[k]
    }
  }

  func planes(_ k: Int) -> [UInt8] {
    switch contents {
    case .records(let file):
      let start = k * Self.recordBytes + 1
      return file.slice(start..<start + Self.planeBytes)
    case .arrays(_, let planes):
      return Array(planes[k * Self.planeBytes..<(k + 1) * Self.planeBytes])
    }
  }
}
