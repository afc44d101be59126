import Diagnostics

/// Writes a zip archive of stored members whose data begin at multiples of 64 bytes, with zip64
/// fields where a size or a place exceeds 32 bits.
final class ZipWriter {
  private struct Member {
    let name: String
    let checksum: UInt32
    let count: Int
    let offset: Int
  }

  private let file: OutputFile
  private var members: [Member] = []

  static let alignment = 64

  init(_ file: OutputFile) { self.file = file }

  func add(_ name: String, _ data: UnsafeRawBufferPointer) throws {
    let member = Member(
      name: name, checksum: crc32(of: data), count: data.count, offset: file.byteCount)
    let isLarge = data.count >= Int(UInt32.max)
    var header = ZipRecord()
    header.append(UInt32(0x0403_4B50))
    appendCommon(member, isLarge: isLarge, to: &header)
    header.append(UInt16(name.utf8.count))
    let large = isLarge ? zip64([data.count, data.count]) : []
    // A field «FB» of any length, as PyTorch pads; its own head is 4 bytes.
    let start = file.byteCount + header.bytes.count + 2 + name.utf8.count + large.count + 4
    let padding = (ZipWriter.alignment - start % ZipWriter.alignment) % ZipWriter.alignment
    header.append(UInt16(large.count + 4 + padding))
    header.bytes += name.utf8
    header.bytes += large
    header.append(UInt16(0x4246))
    header.append(UInt16(padding))
    header.bytes += [UInt8](repeating: UInt8(ascii: "Z"), count: padding)
    try header.bytes.withUnsafeBytes { try file.write($0) }
    try file.write(data)
    members.append(member)
  }

  /// Writes the directory; the file's own `finish` is the caller's.
  func finish() throws {
    let start = file.byteCount
    var record = ZipRecord()
    for member in members { appendCentral(member, to: &record) }
    let size = record.bytes.count
    let end = start + size
    let fields = [members.count, size, start]
    let isLarge = members.count >= Int(UInt16.max) || end >= Int(UInt32.max)
    if isLarge { appendZip64End(fields, at: end, to: &record) }
    record.append(UInt32(0x0605_4B50))
    record.append(UInt32(0))  // disks
    let count = isLarge ? UInt16.max : UInt16(members.count)
    record.append(count)
    record.append(count)
    record.append(isLarge ? UInt32.max : UInt32(size))
    record.append(isLarge ? UInt32.max : UInt32(start))
    record.append(UInt16(0))  // comment
    try record.bytes.withUnsafeBytes { try file.write($0) }
  }

  /// Version needed, flags, method, time and date, checksum, sizes: the part that a local header
  /// and a record of the directory share.
  private func appendCommon(_ member: Member, isLarge: Bool, to record: inout ZipRecord) {
    record.append(UInt16(isLarge ? 45 : 20))
    record.append(UInt16(0x0800))  // names are UTF-8
    record.append(UInt16(0))
    record.append(UInt32(0x0021_0000))  // 1980-01-01 00:00, the first that zip can say
    record.append(member.checksum)
    let count = isLarge ? UInt32.max : UInt32(member.count)
    record.append(count)
    record.append(count)
  }

  private func appendCentral(_ member: Member, to record: inout ZipRecord) {
    let isLarge = member.count >= Int(UInt32.max) || member.offset >= Int(UInt32.max)
    let extra = isLarge ? zip64([member.count, member.count, member.offset]) : []
    record.append(UInt32(0x0201_4B50))
    record.append(UInt16(isLarge ? 45 : 20))
    appendCommon(member, isLarge: isLarge, to: &record)
    record.append(UInt16(member.name.utf8.count))
    record.append(UInt16(extra.count))
    record.append(UInt16(0))  // comment
    record.append(UInt32(0))  // disk, attributes inside
    record.append(UInt32(0))  // attributes outside
    record.append(isLarge ? UInt32.max : UInt32(member.offset))
    record.bytes += member.name.utf8
    record.bytes += extra
  }

  private func appendZip64End(_ fields: [Int], at place: Int, to record: inout ZipRecord) {
    record.append(UInt32(0x0606_4B50))
    record.append(UInt64(44))
    record.append(UInt16(45))
    record.append(UInt16(45))
    record.append(UInt64(0))  // disks
    for field in [fields[0]] + fields { record.append(UInt64(field)) }
    record.append(UInt32(0x0706_4B50))
    record.append(UInt32(0))
    record.append(UInt64(place))
    record.append(UInt32(1))
  }

  private func zip64(_ fields: [Int]) -> [UInt8] {
    var record = ZipRecord()
    record.append(UInt16(1))
    record.append(UInt16(8 * fields.count))
    for field in fields { record.append(UInt64(field)) }
    return record.bytes
  }
}

/// Little-endian fields, one after the other.
private struct ZipRecord {
  var bytes: [UInt8] = []

  mutating func append<Value: FixedWidthInteger>(_ value: Value) {
    withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
  }
}
