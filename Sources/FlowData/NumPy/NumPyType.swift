/// An element type in numpy's spelling: byte order, kind, bytes (`<f4`, `|b1`, `>i8`, `O8`).
struct NumPyType: Equatable {
  enum Element: Equatable {
    case plain(SafetensorsType)
    /// Python objects, which a pickle spells.
    case object
  }

  let element: Element
  var isBigEndian: Bool

  /// nil for a type that is not read here: text, dates, records ….
  init?(_ text: String) {
    var rest = text[...]
    var isBigEndian = false
    if let order = rest.first, "<>=|".contains(order) {
      isBigEndian = order == ">"
      rest.removeFirst()
    }
    if rest == "O" || rest == "O8" || rest == "O4" {
      self.init(element: .object)
    } else if let dtype = NumPyType.plain[String(rest)] {
      self.init(element: .plain(dtype), isBigEndian: isBigEndian)
    } else {
      return nil
    }
  }

  init(element: Element, isBigEndian: Bool = false) {
    (self.element, self.isBigEndian) = (element, isBigEndian)
  }

  private static let plain: [String: SafetensorsType] = [
    "f2": .f16, "f4": .f32, "f8": .f64, "i1": .i8, "i2": .i16, "i4": .i32, "i8": .i64,
    "u1": .u8, "u2": .u16, "u4": .u32, "u8": .u64, "b1": .bool, "c8": .c64,
  ]

  /// Bytes of the smallest swapped unit: half an element where that is complex.
  static func swapUnit(_ dtype: SafetensorsType) -> Int {
    dtype == .c64 ? 4 : dtype.width
  }
}

/// Reverses the bytes of every unit of `unit` bytes.
func swapBytes(_ memory: UnsafeMutableRawBufferPointer, unit: Int) {
  switch unit {
  case 2: swapUnits(memory, UInt16.self)
  case 4: swapUnits(memory, UInt32.self)
  case 8: swapUnits(memory, UInt64.self)
  default: break
  }
}

private func swapUnits<Unit: FixedWidthInteger & BitwiseCopyable>(
  _ memory: UnsafeMutableRawBufferPointer, _: Unit.Type
) {
  let width = MemoryLayout<Unit>.size
  for start in stride(from: 0, through: memory.count - width, by: width) {
    let unit = memory.loadUnaligned(fromByteOffset: start, as: Unit.self)
    memory.storeBytes(of: unit.byteSwapped, toByteOffset: start, as: Unit.self)
  }
}
