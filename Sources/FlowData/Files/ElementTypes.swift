/// Element types of tensors in files, under the names of the safetensors format.
public enum SafetensorsType: String, Sendable, CaseIterable, Codable {
  case f64 = "F64", f32 = "F32", f16 = "F16", bf16 = "BF16"
  case f8e4m3 = "F8_E4M3", f8e5m2 = "F8_E5M2"
  case i64 = "I64", i32 = "I32", i16 = "I16", i8 = "I8"
  case u64 = "U64", u32 = "U32", u16 = "U16", u8 = "U8", bool = "BOOL"
  /// Two float32: real part, imaginary part.
  case c64 = "C64"

  /// Bytes per element.
  public var width: Int {
    switch self {
    case .f64, .i64, .u64, .c64: return 8
    case .f32, .i32, .u32: return 4
    case .f16, .bf16, .i16, .u16: return 2
    case .i8, .u8, .bool, .f8e4m3, .f8e5m2: return 1
    }
  }

  var isInteger: Bool {
    switch self {
    case .f64, .f32, .f16, .bf16, .f8e4m3, .f8e5m2, .c64: return false
    case .i64, .i32, .i16, .i8, .u64, .u32, .u16, .u8, .bool: return true
    }
  }
}

/// Elements of an integer type, which need not be aligned; nil for another type, and for a value
/// beyond `Int`.
func integers(_ raw: UnsafeRawBufferPointer, _ type: SafetensorsType) -> [Int]? {
  switch type {
  case .i64: elements(raw, Int64.self)
  case .i32: elements(raw, Int32.self)
  case .i16: elements(raw, Int16.self)
  case .i8: elements(raw, Int8.self)
  case .u64: elements(raw, UInt64.self)
  case .u32: elements(raw, UInt32.self)
  case .u16: elements(raw, UInt16.self)
  case .u8, .bool: raw.map { Int($0) }
  case .f64, .f32, .f16, .bf16, .f8e4m3, .f8e5m2, .c64: nil
  }
}

private func elements<Element: FixedWidthInteger & BitwiseCopyable>(
  _ raw: UnsafeRawBufferPointer, _ type: Element.Type
) -> [Int]? {
  let width = MemoryLayout<Element>.size
  var result: [Int] = []
  result.reserveCapacity(raw.count / width)
  for i in 0..<raw.count / width {
    let element = raw.loadUnaligned(fromByteOffset: i * width, as: Element.self)
    guard let value = Int(exactly: element) else { return nil }
    result.append(value)
  }
  return result
}

/// Converts all of `raw`, which is of a real type; specialised by the compiler for the result types
/// of this module. Everything widens exactly but 64-bit values (and 32-bit integers to `Float`),
/// which round to nearest.
func widen<Result: BinaryFloatingPoint>(
  _ raw: UnsafeRawBufferPointer, _ type: SafetensorsType, into out: UnsafeMutablePointer<Result>
) {
  switch type {
  case .f64: convert(raw, Double.self, into: out) { Result($0) }
  case .f32: convert(raw, Float.self, into: out) { Result($0) }
  case .f16: convert(raw, UInt16.self, into: out) { Result(float(half: $0)) }
  case .bf16: convert(raw, UInt16.self, into: out) { Result(Float(bitPattern: UInt32($0) << 16)) }
  case .f8e5m2: convert(raw, UInt8.self, into: out) { Result(float(half: UInt16($0) << 8)) }
  case .f8e4m3: convert(raw, UInt8.self, into: out) { Result(float(e4m3: $0)) }
  case .i64: convert(raw, Int64.self, into: out) { Result($0) }
  case .i32: convert(raw, Int32.self, into: out) { Result($0) }
  case .i16: convert(raw, Int16.self, into: out) { Result($0) }
  case .i8: convert(raw, Int8.self, into: out) { Result($0) }
  case .u64: convert(raw, UInt64.self, into: out) { Result($0) }
  case .u32: convert(raw, UInt32.self, into: out) { Result($0) }
  case .u16: convert(raw, UInt16.self, into: out) { Result($0) }
  case .u8, .bool: convert(raw, UInt8.self, into: out) { Result($0) }
  case .c64: preconditionFailure("complex elements do not widen to reals")
  }
}

@inline(__always)
private func convert<Element: BitwiseCopyable, Result>(
  _ raw: UnsafeRawBufferPointer, _: Element.Type, into out: UnsafeMutablePointer<Result>,
  _ body: (Element) -> Result
) {
  let width = MemoryLayout<Element>.size
  for i in 0..<raw.count / width {
    out[i] = body(raw.loadUnaligned(fromByteOffset: i * width, as: Element.self))
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

/// Eight bits of sign, 4 of exponent (bias 7), 3 of fraction, without infinities
/// (Micikevicius et al. 2022, arXiv 2209.05433), to binary32, exactly.
private func float(e4m3 bits: UInt8) -> Float {
  let sign: Float = bits & 0x80 == 0 ? 1 : -1
  let exponent = Int(bits >> 3 & 15)
  let fraction = Float(bits & 7)
  if bits & 0x7F == 0x7F { return .nan }
  if exponent == 0 { return sign * fraction * 0x1p-9 }
  return sign * (8 + fraction) * Float(sign: .plus, exponent: exponent - 10, significand: 1)
}
