import Diagnostics

/// Where the central directory of a zip archive lies, from the record at the file's end.
struct ZipDirectory {
  let count: Int
  let range: Range<Int>

  init(_ file: MappedFile) throws {
    let bytes = file.bytes
    guard let end = ZipDirectory.endRecord(bytes) else {
      throw UserError(
        .badData, file.path, at: "byte \(bytes.count)", found: "no end of a zip directory",
        expected: "a whole archive", advice: "the file may be cut off: fetch it again")
    }
    var reader = ByteReader(bytes, at: end)
    // Mark, number of this disk, disk of the directory, records on this disk.
    guard reader.take(10) != nil, let records = reader.integer(UInt16.self),
      let size = reader.integer(UInt32.self), let offset = reader.integer(UInt32.self)
    else {
      throw UserError(.badData, file.path, at: "byte \(end)", found: "a cut off end record")
    }
    var place = (UInt64(records), UInt64(size), UInt64(offset))
    if records == .max || size == .max || offset == .max {
      place = try ZipDirectory.zip64(endsAt: end, file) ?? place
    }
    let (count, length, start) = place
    let (stop, overflow) = start.addingReportingOverflow(length)
    guard !overflow, stop <= UInt64(end) else {
      throw UserError(
        .badData, file.path, at: "byte \(end)",
        found: "a directory of \(length) bytes at byte \(start)",
        expected: "one that ends before byte \(end)")
    }
    // A record takes 46 bytes at least; ImageNet as a zip has 1.3 million of them.
    let limit = max(UInt64(ZipArchive.maximumEntries), min(length / 46, 4_000_000))
    guard count <= limit else {
      throw UserError(
        .badData, file.path, at: "byte \(end)", found: "\(count) members",
        expected: "at most \(limit)")
    }
    self.count = Int(count)
    range = Int(start)..<Int(stop)
  }

  /// The last end record whose comment reaches the end of the file.
  private static func endRecord(_ bytes: UnsafeRawBufferPointer) -> Int? {
    let fixed = 22
    guard bytes.count >= fixed else { return nil }
    let lowest = max(0, bytes.count - fixed - Int(UInt16.max))
    for start in stride(from: bytes.count - fixed, through: lowest, by: -1)
    where bytes[start] == 0x50 {
      let mark = bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self)
      guard UInt32(littleEndian: mark) == 0x0605_4B50 else { continue }
      let comment = bytes.loadUnaligned(fromByteOffset: start + 20, as: UInt16.self)
      if start + fixed + Int(UInt16(littleEndian: comment)) == bytes.count { return start }
    }
    return nil
  }

  /// Records, size and offset from the zip64 end record, whose locator stands before `end`; nil if
  /// there is none.
  private static func zip64(
    endsAt end: Int, _ file: MappedFile
  ) throws -> (UInt64, UInt64, UInt64)? {
    guard end >= 20 else { return nil }
    var locator = ByteReader(file.bytes, at: end - 20)
    guard locator.integer(UInt32.self) == 0x0706_4B50, locator.take(4) != nil,
      let start = locator.integer(UInt64.self)
    else { return nil }
    func failure() -> UserError {
      UserError(
        .badData, file.path, at: "byte \(end - 20)", found: "a zip64 end record at byte \(start)",
        expected: "one inside the file")
    }
    guard start <= UInt64(end) else { throw failure() }
    var reader = ByteReader(file.bytes, at: Int(start))
    // Mark; size of the record, versions, disks, records on this disk.
    guard reader.integer(UInt32.self) == 0x0606_4B50, reader.take(28) != nil,
      let count = reader.integer(UInt64.self), let size = reader.integer(UInt64.self),
      let offset = reader.integer(UInt64.self)
    else { throw failure() }
    return (count, size, offset)
  }
}

/// One record of the central directory.
struct CentralRecord {
  let name: String
  /// 0 stored, 8 deflated; nothing else is read.
  let method: UInt16
  let checksum: UInt32
  let packed: Int
  let count: Int
  /// Of the local header.
  let offset: Int

  /// Reads one record; nil if the bytes hold none. Throws `.badData` for a member that cannot be
  /// read here.
  init?(_ reader: inout ByteReader, _ file: MappedFile) throws {
    let start = reader.position
    // Mark; versions made by and needed.
    guard reader.integer(UInt32.self) == 0x0201_4B50, reader.take(4) != nil,
      let flags = reader.integer(UInt16.self), let method = reader.integer(UInt16.self),
      reader.take(4) != nil, let checksum = reader.integer(UInt32.self),
      let packed = reader.integer(UInt32.self), let count = reader.integer(UInt32.self),
      let nameLength = reader.integer(UInt16.self), let extraLength = reader.integer(UInt16.self),
      let commentLength = reader.integer(UInt16.self),
      // Disk, attributes inside and outside.
      reader.take(8) != nil, let offset = reader.integer(UInt32.self),
      let nameRange = reader.take(Int(nameLength)), let extra = reader.take(Int(extraLength)),
      reader.take(Int(commentLength)) != nil
    else { return nil }
    func failure(_ found: String, _ expected: String) -> UserError {
      UserError(.badData, file.path, at: "byte \(start)", found: found, expected: expected)
    }
    guard let name = String(validating: reader.bytes[nameRange], as: UTF8.self) else {
      throw failure("a member's name that is not UTF-8", "UTF-8")
    }
    guard flags & 1 == 0 else {
      throw failure("member \(shown(name)) is encrypted", "a plain member")
    }
    guard method == 0 || method == 8 else {
      throw failure("member \(shown(name)) packed by method \(method)", "stored or deflated")
    }
    let large = UnsafeRawBufferPointer(rebasing: reader.bytes[extra])
    guard let sizes = CentralRecord.widened(count, packed, offset, large) else {
      throw failure("member \(shown(name)) of unreadable size", "sizes of at most 63 bits")
    }
    guard method == 8 || sizes.count == sizes.packed else {
      throw failure(
        "member \(shown(name)) stored in \(sizes.packed) bytes", "its \(sizes.count) bytes")
    }
    (self.name, self.method, self.checksum) = (name, method, checksum)
    (self.count, self.packed, self.offset) = sizes
  }

  /// Fields that are all ones have their value in the zip64 extra field (id 1), in this order.
  private static func widened(
    _ count: UInt32, _ packed: UInt32, _ offset: UInt32, _ extra: UnsafeRawBufferPointer
  ) -> (count: Int, packed: Int, offset: Int)? {
    var fields = [UInt64(count), UInt64(packed), UInt64(offset)]
    if fields.contains(UInt64(UInt32.max)) {
      guard var reader = zip64Field(extra) else { return nil }
      for i in fields.indices where fields[i] == UInt64(UInt32.max) {
        guard let wide = reader.integer(UInt64.self) else { return nil }
        fields[i] = wide
      }
    }
    guard let a = Int(exactly: fields[0]), let b = Int(exactly: fields[1]),
      let c = Int(exactly: fields[2])
    else { return nil }
    return (a, b, c)
  }

  private static func zip64Field(_ extra: UnsafeRawBufferPointer) -> ByteReader? {
    var reader = ByteReader(extra)
    while let id = reader.integer(UInt16.self), let length = reader.integer(UInt16.self),
      let range = reader.take(Int(length))
    {
      if id == 1 { return ByteReader(UnsafeRawBufferPointer(rebasing: extra[range])) }
    }
    return nil
  }
}
