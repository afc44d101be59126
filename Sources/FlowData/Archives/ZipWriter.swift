/// A zip file (APPNOTE 6.3) that is being written, members stored without compression: pictures
/// are compressed already, and readers map them in place. Zip64 where numbers ask for it; times are
/// constant, so that the same members give the same bytes.
public struct ZipWriter {
  private let file: OutputFile
  private var directory: [UInt8] = []
  private var count = 0

  public init(_ file: OutputFile) { self.file = file }

  /// - Parameter name: a relative path.
  public mutating func add(_ name: String, _ bytes: [UInt8]) throws {
    precondition(
      relativeName(name) == name && name.utf8.count < 1 << 16 && bytes.count < 0xFFFF_FFFF,
      "the member \(name) of \(bytes.count) bytes")
    let offset = file.byteCount
    // Since 2.0 (4.5 for zip64); bit 11 says that names are UTF-8; stored; 1980-01-01.
    let common = number(1 << 11, 2) + number(0, 2) + number(0, 2) + number(0x21, 2)
      + number(Int(Self.crc32(bytes)), 4) + number(bytes.count, 4) + number(bytes.count, 4)
      + number(name.utf8.count, 2)
    try write(number(0x0403_4B50, 4) + number(20, 2) + common + number(0, 2) + Array(name.utf8))
    try write(bytes)
    let isFar = offset >= 0xFFFF_FFFF
    let far = isFar ? number(1, 2) + number(8, 2) + number(offset, 8) : []
    directory += number(0x0201_4B50, 4) + number(isFar ? 45 : 20, 2) + number(isFar ? 45 : 20, 2)
      + common + number(far.count, 2) + number(0, 2) + number(0, 2) + number(0, 2) + number(0, 4)
      + number(isFar ? 0xFFFF_FFFF : offset, 4) + Array(name.utf8) + far
    count += 1
  }

  /// The central directory and its end records.
  public func finish() throws {
    let start = file.byteCount
    try write(directory)
    if count >= 0xFFFF || start >= 0xFFFF_FFFF || directory.count >= 0xFFFF_FFFF {
      let end = file.byteCount
      try write(
        number(0x0606_4B50, 4) + number(44, 8) + number(45, 2) + number(45, 2) + number(0, 4)
          + number(0, 4) + number(count, 8) + number(count, 8) + number(directory.count, 8)
          + number(start, 8))
      try write(number(0x0706_4B50, 4) + number(0, 4) + number(end, 8) + number(1, 4))
    }
    let entries = number(min(count, 0xFFFF), 2)
    try write(
      number(0x0605_4B50, 4) + number(0, 2) + number(0, 2) + entries + entries
        + number(min(directory.count, 0xFFFF_FFFF), 4) + number(min(start, 0xFFFF_FFFF), 4)
        + number(0, 2))
  }

  private func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try file.write($0) } }

  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
  }

  /// CRC-32 (ISO 3309).
  static func crc32(_ bytes: [UInt8]) -> UInt32 {
    let table = Self.table
    return ~bytes.reduce(0xFFFF_FFFF) { crc, byte in
      table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ crc >> 8
    }
  }
}

/// Little-endian.
private func number(_ value: Int, _ count: Int) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}
