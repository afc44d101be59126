/// A cursor over bytes from a stranger. Every read is checked against the end, since
/// `UnsafeRawBufferPointer` itself checks nothing in a release build.
struct ByteReader {
  let bytes: UnsafeRawBufferPointer
  private(set) var position: Int

  /// - Parameter position: within `bytes`, or at their end.
  init(_ bytes: UnsafeRawBufferPointer, at position: Int = 0) {
    precondition(position >= 0 && position <= bytes.count, "byte \(position) of \(bytes.count)")
    self.bytes = bytes
    self.position = position
  }

  var remaining: Int { bytes.count - position }

  /// A little-endian integer; nil, with nothing read, beyond the end.
  mutating func integer<Value: FixedWidthInteger>(_: Value.Type) -> Value? {
    let width = MemoryLayout<Value>.size
    guard width <= remaining else { return nil }
    let value = bytes.loadUnaligned(fromByteOffset: position, as: Value.self)
    position += width
    return Value(littleEndian: value)
  }

  /// The place of the next `count` bytes; nil, with nothing read, if there are fewer.
  mutating func take(_ count: Int) -> Range<Int>? {
    guard count >= 0, count <= remaining else { return nil }
    defer { position += count }
    return position..<position + count
  }

  /// The place of the bytes before the next `end`, which is read too; nil if there is none.
  mutating func take(before end: UInt8) -> Range<Int>? {
    guard let stop = bytes[position...].firstIndex(of: end) else { return nil }
    defer { position = stop + 1 }
    return position..<stop
  }
}

/// Bytes of a tensor of extents `dims`; nil if that exceeds an `Int`.
func checkedByteCount(of dims: [Int], width: Int) -> Int? {
  var result = width
  for extent in dims {
    guard extent >= 0 else { return nil }
    let (product, overflow) = result.multipliedReportingOverflow(by: extent)
    if overflow { return nil }
    result = product
  }
  return result
}
