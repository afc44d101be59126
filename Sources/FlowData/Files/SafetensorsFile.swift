import Diagnostics
import FlowTensor
import Foundation

/// Element types of the safetensors format that are read here.
public enum SafetensorsType: String, Sendable, CaseIterable, Codable {
  case f64 = "F64", f32 = "F32", f16 = "F16", bf16 = "BF16"
  case i64 = "I64", i32 = "I32", i16 = "I16", i8 = "I8", u8 = "U8", bool = "BOOL"

  /// Bytes per element.
  public var width: Int {
    switch self {
    case .f64, .i64: return 8
    case .f32, .i32: return 4
    case .f16, .bf16, .i16: return 2
    case .i8, .u8, .bool: return 1
    }
  }

  var isInteger: Bool {
    switch self {
    case .f64, .f32, .f16, .bf16: return false
    case .i64, .i32, .i16, .i8, .u8, .bool: return true
    }
  }
}

/// A safetensors file: 8 bytes of header length (little-endian), a JSON header, then the tensors'
/// data without holes (format description: github.com/huggingface/safetensors).
///
/// The file is mapped, and every claim of the header is checked before a byte of data is read: a
/// file from a stranger gives a `UserError` (`.badData`) that names file, tensor or byte.
public final class SafetensorsFile: Sendable {
  public struct Entry: Sendable, Equatable {
    public let dtype: SafetensorsType
    public let dims: [Int]
    /// Range of the data, in bytes from the start of the file.
    public let range: Range<Int>

    public var shape: Shape { Shape(dims) }
    /// Number of elements.
    public var count: Int { range.count / dtype.width }
  }

  public var path: String { file.path }
  /// Tensor names in the order of their data.
  public let names: [String]
  /// Strings of the header's `__metadata__`.
  public let metadata: [String: String]
  /// Size of the file in bytes.
  public var byteCount: Int { file.bytes.count }

  private let file: MappedFile
  private let entries: [String: Entry]

  public init(_ path: String) throws {
    file = try MappedFile(path)
    let header = try SafetensorsHeader(file)
    names = header.names
    metadata = header.metadata
    entries = header.entries
  }

  public func contains(_ name: String) -> Bool { entries[name] != nil }

  /// Throws `.badData`, with the nearest name as advice, if there is no tensor `name`.
  public func entry(_ name: String) throws -> Entry {
    if let entry = entries[name] { return entry }
    throw UserError(
      .badData, path, at: "tensor \(shown(name))", found: "not in this file",
      expected: "one of its \(names.count) tensors",
      advice: nearestName(to: name, among: names).map { "the nearest name is \($0)" })
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

  /// A float32 copy. F16, BF16 and small integers widen exactly; F64, I64 and I32 round to nearest.
  public func tensor(_ name: String) throws -> Tensor {
    let entry = try entry(name)
    let raw = try bytes(name)
    let result = Tensor(uninitialized: entry.shape)
    if entry.dtype == .f32 {
      if let source = raw.baseAddress { memcpy(result.base, source, raw.count) }
    } else {
      widen(raw, entry.dtype, into: result.base)
    }
    return result
  }

  /// The elements as doubles: exact for every type but integers beyond 2^53.
  public func doubles(_ name: String) throws -> [Double] {
    let entry = try entry(name)
    let raw = try bytes(name)
    return [Double](unsafeUninitializedCapacity: entry.count) { buffer, count in
      if let base = buffer.baseAddress { widen(raw, entry.dtype, into: base) }
      count = entry.count
    }
  }

  /// The elements of an integer tensor; BOOL gives 0 and 1. Throws `.badData` for other types.
  public func ints(_ name: String) throws -> [Int] {
    let entry = try entry(name)
    guard entry.dtype.isInteger else {
      throw UserError(
        .badData, path, at: "tensor \(shown(name))", found: "type \(entry.dtype.rawValue)",
        expected: "integers")
    }
    let raw = try bytes(name)
    switch entry.dtype {
    case .i64: return elements(raw, Int64.self).map { Int($0) }
    case .i32: return elements(raw, Int32.self).map { Int($0) }
    case .i16: return elements(raw, Int16.self).map { Int($0) }
    case .i8: return elements(raw, Int8.self).map { Int($0) }
    default: return raw.map { Int($0) }
    }
  }
}

/// The stored elements, which need not be aligned.
private func elements<Element: BitwiseCopyable>(
  _ raw: UnsafeRawBufferPointer, _ type: Element.Type
) -> [Element] {
  let width = MemoryLayout<Element>.size
  return (0..<raw.count / width).map {
    raw.loadUnaligned(fromByteOffset: $0 * width, as: Element.self)
  }
}

/// Converts all of `raw`; specialised by the compiler for the two result types used in this file.
private func widen<Result: BinaryFloatingPoint>(
  _ raw: UnsafeRawBufferPointer, _ type: SafetensorsType, into out: UnsafeMutablePointer<Result>
) {
  let count = raw.count / type.width
  switch type {
  case .f64:
    for i in 0..<count {
      out[i] = Result(raw.loadUnaligned(fromByteOffset: 8 * i, as: Double.self))
    }
  case .f32:
    for i in 0..<count { out[i] = Result(raw.loadUnaligned(fromByteOffset: 4 * i, as: Float.self)) }
  case .f16:
    for i in 0..<count {
      out[i] = Result(float(half: raw.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self)))
    }
  case .bf16:
    for i in 0..<count {
      let high = raw.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self)
      out[i] = Result(Float(bitPattern: UInt32(high) << 16))
    }
  case .i64:
    for i in 0..<count { out[i] = Result(raw.loadUnaligned(fromByteOffset: 8 * i, as: Int64.self)) }
  case .i32:
    for i in 0..<count { out[i] = Result(raw.loadUnaligned(fromByteOffset: 4 * i, as: Int32.self)) }
  case .i16:
    for i in 0..<count { out[i] = Result(raw.loadUnaligned(fromByteOffset: 2 * i, as: Int16.self)) }
  case .i8:
    for i in 0..<count { out[i] = Result(raw.loadUnaligned(fromByteOffset: i, as: Int8.self)) }
  case .u8, .bool:
    for i in 0..<count { out[i] = Result(raw[i]) }
  }
}

/// IEEE 754 binary16 to binary32, exactly (also where the compiler has no Float16).
func float(half bits: UInt16) -> Float {
  let sign: Float = bits & 0x8000 == 0 ? 1 : -1
  let exponent = Int(bits >> 10 & 31)
  let fraction = Float(bits & 0x3FF)
  switch exponent {
  case 0: return sign * fraction * 0x1p-24
  case 31: return bits & 0x3FF == 0 ? sign * .infinity : .nan
  default:
    let scale = Float(sign: .plus, exponent: exponent - 25, significand: 1)
    return sign * (1024 + fraction) * scale
  }
}
