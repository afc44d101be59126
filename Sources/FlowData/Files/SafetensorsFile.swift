import Diagnostics
import FlowTensor
import Foundation

/// A safetensors file: 8 bytes of header length (little-endian), a JSON header, then the tensors'
/// data without holes (format description: github.com/huggingface/safetensors).
///
/// The file is mapped, and every claim of the header is checked before a byte of data is read: a
/// file from a stranger gives a `UserError` (`.badData`) that names file, tensor or byte.
public final class SafetensorsFile: TensorSource {
  public struct Entry: Sendable, Equatable {
    public let dtype: SafetensorsType
    public let dims: [Int]
    /// Range of the data, in bytes from the start of the file.
    public let range: Range<Int>

    public var shape: Shape { Shape(dims) }
    /// Number of elements.
    public var count: Int { range.count / dtype.width }
  }

  public let format = TensorFormat.safetensors
  public var path: String { file.path }
  /// Tensor names in the order of their data.
  public let names: [String]
  /// Strings of the header's `__metadata__`.
  public let metadata: [String: String]
  /// Size of the file in bytes.
  public var byteCount: Int { file.bytes.count }

  private let file: MappedFile
  private let entries: [String: Entry]

  public convenience init(_ path: String) throws { try self.init(MappedFile(path)) }

  init(_ file: MappedFile) throws {
    self.file = file
    let header = try SafetensorsHeader(file)
    names = header.names
    metadata = header.metadata
    entries = header.entries
  }

  public func contains(_ name: String) -> Bool { entries[name] != nil }

  /// Throws `.badData`, with the nearest name as advice, if there is no tensor `name`.
  public func entry(_ name: String) throws -> Entry {
    if let entry = entries[name] { return entry }
    throw noTensor(name)
  }

  public func shape(_ name: String) throws -> Shape { try entry(name).shape }
  public func dtype(_ name: String) throws -> SafetensorsType { try entry(name).dtype }

  /// The data of a tensor as stored; valid while this object lives.
  public func bytes(_ name: String) throws -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: file.bytes[try entry(name).range])
  }

  /// The elements of an F32 tensor in place; valid while this object lives.
  /// Throws `.badData` for another type and for data that is not aligned to its 4 bytes.
  public func floats(_ name: String) throws -> UnsafeBufferPointer<Float> {
    let entry = try entry(name)
    guard entry.dtype == .f32 else {
      throw UserError(
        .badData, path, at: "tensor \(shown(name))", found: "type \(entry.dtype.rawValue)",
        expected: "F32")
    }
    let raw = try bytes(name)
    guard raw.count == 0 || Int(bitPattern: raw.baseAddress) % MemoryLayout<Float>.alignment == 0
    else {
      throw UserError(
        .badData, path, at: "tensor \(shown(name))",
        found: "data at byte \(entry.range.lowerBound)", expected: "a multiple of 4",
        advice: "write the file again, with aligned data")
    }
    return raw.assumingMemoryBound(to: Float.self)
  }

  public func withBytes<Result>(
    _ name: String, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    try body(bytes(name))
  }
}
