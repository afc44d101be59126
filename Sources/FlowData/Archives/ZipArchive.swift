import Diagnostics

/// The directory of a zip archive (APPNOTE 6.3.10, zip64 included), all its claims checked against
/// the bytes. Members are found by name and never written anywhere.
struct ZipArchive {
  struct Entry: Equatable {
    let name: String
    let isDeflated: Bool
    let checksum: UInt32
    /// Bytes once unpacked.
    let count: Int
    /// Where the packed bytes lie in the file.
    let data: Range<Int>
  }

  /// In the order of the directory.
  let entries: [Entry]
  private let places: [String: Int]
  private let file: MappedFile

  /// Entries that any file may claim; more where its directory is long enough for them.
  static let maximumEntries = 200_000
  /// How much more than the whole file one member may unpack to.
  static let inflationSlack = 32 << 20

  private static let localMark: UInt32 = 0x0403_4B50
  private static let endMark: UInt32 = 0x0605_4B50

  /// Whether the bytes begin as a zip archive does.
  static func isZip(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var reader = ByteReader(bytes)
    let mark = reader.integer(UInt32.self)
    return mark == localMark || mark == endMark
  }

  init(_ file: MappedFile) throws {
    self.file = file
    let directory = try ZipDirectory(file)
    var reader = ByteReader(
      UnsafeRawBufferPointer(rebasing: file.bytes[..<directory.range.upperBound]),
      at: directory.range.lowerBound)
    var entries: [Entry] = []
    var places: [String: Int] = [:]
    var localHeaders: [Range<Int>] = []
    entries.reserveCapacity(directory.count)
    for index in 0..<directory.count {
      let start = reader.position
      guard let record = try CentralRecord(&reader, file) else {
        throw UserError(
          .badData, file.path, at: "byte \(start)", found: "no record \(index) of the directory",
          expected: "\(directory.count) records")
      }
      let data = try ZipArchive.data(of: record, file)
      let entry = Entry(
        name: record.name, isDeflated: record.method == 8, checksum: record.checksum,
        count: record.count, data: data)
      guard places.updateValue(entries.count, forKey: entry.name) == nil else {
        throw UserError(
          .badData, file.path, at: "byte \(start)",
          found: "member \(shown(entry.name)) for the second time")
      }
      entries.append(entry)
      localHeaders.append(record.offset..<data.upperBound)
    }
    self.entries = entries
    self.places = places
    try ZipArchive.checkDisjoint(localHeaders, file)
  }

  func entry(_ name: String) -> Entry? { places[name].map { entries[$0] } }

  /// The packed bytes of a stored member in place; nil if it is deflated.
  func storedBytes(_ entry: Entry) -> UnsafeRawBufferPointer? {
    entry.isDeflated ? nil : UnsafeRawBufferPointer(rebasing: file.bytes[entry.data])
  }

  /// Throws `.badData` unless the checksum of `bytes` is the member's.
  func verify(_ bytes: UnsafeRawBufferPointer, are entry: Entry) throws {
    let found = crc32(of: bytes)
    guard found == entry.checksum else {
      throw UserError(
        .badData, file.path, at: "member \(shown(entry.name)), byte \(entry.data.lowerBound)",
        found: "CRC-32 \(hexadecimal(found))", expected: hexadecimal(entry.checksum),
        advice: "the file is damaged: fetch it again")
    }
  }

  /// Calls `body` with a member's bytes, unpacked and checked against their checksum.
  func withBytes<Result>(
    _ entry: Entry, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    if let bytes = storedBytes(entry) {
      try verify(bytes, are: entry)
      return try body(bytes)
    }
    let unpacked = try unpack(entry)
    return try unpacked.withUnsafeBytes {
      try verify($0, are: entry)
      return try body($0)
    }
  }

  /// Calls `body` with the first bytes of a member, not checked against its checksum.
  func withPrefix<Result>(
    _ entry: Entry, atMost count: Int, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    let count = min(count, entry.count)
    if let bytes = storedBytes(entry) {
      return try body(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
    }
    return try unpack(entry, atMost: count).withUnsafeBytes(body)
  }

  private func unpack(_ entry: Entry, atMost prefix: Int? = nil) throws -> [UInt8] {
    func failure(_ found: String, expected: String, advice: String? = nil) -> UserError {
      UserError(
        .badData, file.path, at: "member \(shown(entry.name)), byte \(entry.data.lowerBound)",
        found: found, expected: expected, advice: advice)
    }
    let limit = file.bytes.count + ZipArchive.inflationSlack
    guard entry.count <= limit else {
      throw failure(
        "\(entry.count) bytes once unpacked", expected: "at most \(limit)",
        advice: "write the archive without compression")
    }
    do {
      return try inflated(
        UnsafeRawBufferPointer(rebasing: file.bytes[entry.data]),
        count: prefix ?? entry.count, isPrefix: prefix != nil)
    } catch {
      switch error {
      case .damaged(let byte):
        throw failure(
          "a damaged deflate stream at its byte \(byte)", expected: "\(entry.count) bytes")
      case .tooLong: throw failure("more bytes than announced", expected: "\(entry.count)")
      case .tooShort(let count): throw failure("\(count) bytes", expected: "\(entry.count)")
      case .outOfMemory: throw UserError(.io, file.path, found: "no memory to unpack a member")
      }
    }
  }

  /// Where the member's bytes lie, from its local header.
  private static func data(of record: CentralRecord, _ file: MappedFile) throws -> Range<Int> {
    func failure(_ found: String) -> UserError {
      UserError(
        .badData, file.path, at: "member \(shown(record.name)), byte \(record.offset)",
        found: found, expected: "a local header and \(record.packed) bytes inside the file")
    }
    guard record.offset <= file.bytes.count else { throw failure("beyond the end of the file") }
    var reader = ByteReader(file.bytes, at: record.offset)
    guard reader.integer(UInt32.self) == localMark, reader.take(22) != nil,
      let nameLength = reader.integer(UInt16.self), let extraLength = reader.integer(UInt16.self),
      reader.take(Int(nameLength)) != nil, reader.take(Int(extraLength)) != nil
    else { throw failure("no local header") }
    guard let data = reader.take(record.packed) else {
      throw failure("\(reader.remaining) bytes")
    }
    return data
  }

  /// Overlapping members are how small archives unpack to huge ones.
  private static func checkDisjoint(_ members: [Range<Int>], _ file: MappedFile) throws {
    let sorted = members.sorted { $0.lowerBound < $1.lowerBound }
    for (a, b) in zip(sorted, sorted.dropFirst()) where b.lowerBound < a.upperBound {
      throw UserError(
        .badData, file.path, at: "byte \(b.lowerBound)", found: "a member inside another",
        expected: "members one after the other")
    }
  }
}

/// 0x and eight digits.
private func hexadecimal(_ value: UInt32) -> String {
  let digits = String(value, radix: 16)
  return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
}
