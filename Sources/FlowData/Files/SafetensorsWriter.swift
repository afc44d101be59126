import Diagnostics
import FlowTensor
import Foundation

/// One tensor to write: its data stay the caller's and must live until the file is finished.
public struct SafetensorsTensor {
  public let name: String
  public let dtype: SafetensorsType
  public let dims: [Int]
  public let data: UnsafeRawBufferPointer

  /// - Parameter data: row-major elements, little-endian as in memory.
  public init(
    _ name: String, _ dtype: SafetensorsType, _ dims: [Int], _ data: UnsafeRawBufferPointer
  ) {
    precondition(
      dims.reduce(dtype.width, *) == data.count,
      "\(data.count) bytes for shape \(dims) of \(dtype.rawValue)")
    self.name = name
    self.dtype = dtype
    self.dims = dims
    self.data = data
  }

  /// Float32 elements at `base`, row-major.
  public init(_ name: String, _ dims: [Int], _ base: UnsafePointer<Float>) {
    let count = dims.reduce(1, *)
    self.init(name, .f32, dims, UnsafeRawBufferPointer(start: base, count: 4 * count))
  }
}

/// Writes safetensors files in one canonical form: equal tensors and metadata are equal files,
/// whatever the order they are given in.
///
/// Header keys stand in the order of their bytes. Data stand widest type first, then in that same
/// order, so that every tensor is aligned to its elements; the header is padded with spaces so
/// that the data begin at a multiple of 8.
public enum SafetensorsWriter {
  /// Writes and syncs the file at `path`; atomicity is the caller's (`AtomicFolder`).
  /// Throws `.io` if the disk is full or refuses.
  @discardableResult
  public static func write(
    _ tensors: [SafetensorsTensor], metadata: [String: String] = [:], to path: String,
    disk: Disk = .local
  ) throws -> FileRecord {
    let file = try OutputFile(path, disk: disk)
    try write(tensors, metadata: metadata, to: file)
    return try file.finish()
  }

  /// Puts the file at `path` whole or not at all.
  @discardableResult
  public static func writeAtomically(
    _ tensors: [SafetensorsTensor], metadata: [String: String] = [:], to path: String,
    disk: Disk = .local
  ) throws -> FileRecord {
    try disk.writeAtomically(to: path) { try write(tensors, metadata: metadata, to: $0) }
  }

  /// Puts all tensors of `source` into the file at `path`, whole or not at all, with its metadata.
  @discardableResult
  public static func writeAtomically(
    _ source: any TensorSource, to path: String, disk: Disk = .local
  ) throws -> FileRecord {
    let entries = try source.names.map {
      Entry(name: $0, dtype: try source.dtype($0), dims: try source.shape($0).dims)
    }
    return try disk.writeAtomically(to: path) { file in
      for entry in try writeHeader(entries, source.metadata, to: file) {
        try source.withBytes(entries[entry].name) { try file.write($0) }
      }
    }
  }

  private static func write(
    _ tensors: [SafetensorsTensor], metadata: [String: String], to file: OutputFile
  ) throws {
    let entries = tensors.map { Entry(name: $0.name, dtype: $0.dtype, dims: $0.dims) }
    for entry in try writeHeader(entries, metadata, to: file) {
      try file.write(tensors[entry].data)
    }
  }

  private struct Entry {
    let name: String
    let dtype: SafetensorsType
    let dims: [Int]

    var byteCount: Int { dims.reduce(dtype.width, *) }
  }

  /// Writes the header; returns the entries' numbers in the order of their data.
  private static func writeHeader(
    _ entries: [Entry], _ metadata: [String: String], to file: OutputFile
  ) throws -> [Int] {
    let sorted = entries.indices.sorted { precedes(entries[$0].name, entries[$1].name) }
    for (a, b) in zip(sorted, sorted.dropFirst()) {
      precondition(entries[a].name != entries[b].name, "two tensors are called \(entries[a].name)")
    }
    precondition(!entries.contains { $0.name == "__metadata__" }, "the name __metadata__ is taken")
    // `sorted` is stable: names keep their order within a width.
    let placed = sorted.sorted { entries[$0].dtype.width > entries[$1].dtype.width }
    var offsets = [Range<Int>](repeating: 0..<0, count: entries.count)
    var end = 0
    for entry in placed {
      offsets[entry] = end..<end + entries[entry].byteCount
      end += entries[entry].byteCount
    }
    let header = headerText(sorted.map { (entries[$0], offsets[$0]) }, metadata)
    let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
    try (length + header.utf8).withUnsafeBytes { try file.write($0) }
    return placed
  }

  private static func headerText(
    _ tensors: [(Entry, Range<Int>)], _ metadata: [String: String]
  ) -> String {
    var members: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { precedes($0.key, $1.key) }
        .map { "\(quoted($0.key)):\(quoted($0.value))" }
      members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    for (tensor, range) in tensors {
      let shape = tensor.dims.map(String.init).joined(separator: ",")
      members.append(
        "\(quoted(tensor.name)):{\"dtype\":\"\(tensor.dtype.rawValue)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(range.lowerBound),\(range.upperBound)]}")
    }
    let text = "{\(members.joined(separator: ","))}"
    return text + String(repeating: " ", count: (8 - text.utf8.count % 8) % 8)
  }
}

/// The order of UTF-8 bytes; Swift's own `<` orders by Unicode normal form.
func precedes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }

/// A JSON string.
func quoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case "\n": result += "\\n"
    case _ where scalar.value < 0x20:
      let digits = String(scalar.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
