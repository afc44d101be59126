import Diagnostics

/// The index of a tar file (POSIX.1-2001 ustar and pax; GNU long names and large sizes), whose
/// members are read in place. Nothing is ever unpacked.
///
/// Strict: a wrong checksum, a member that runs beyond the file, an archive without its end mark,
/// links, devices, sparse files and names that lead out of a folder are errors.
public struct TarArchive: Sendable {
  public struct Member: Sendable {
    /// Relative, without "." and ".." as components.
    public let name: String
    /// Bytes of the file.
    public let range: Range<Int>
  }

  public let path: String
  /// Regular files, in the order of the archive.
  public let members: [Member]
  private let file: MappedFile

  /// Reads all headers. Throws `.missingInput`, `.io`, or `.badData` with the byte of the header.
  public init(_ path: String) throws { try self.init(MappedFile(path)) }

  /// The same for bytes in memory, which must outlive the archive.
  package init(unowned bytes: UnsafeRawBufferPointer, path: String) throws {
    try self.init(MappedFile(unowned: bytes, path: path))
  }

  private init(_ file: MappedFile) throws {
    (path, self.file) = (file.path, file)
    var scan = TarScan(path: path, file: file)
    try scan.run()
    members = scan.members
  }

  /// The bytes of the archive as a file.
  public var byteCount: Int { file.bytes.count }

  public func bytes(_ member: Member) -> [UInt8] { file.slice(member.range) }
}

extension MappedFile {
  /// A copy of some bytes of the file.
  func slice(_ range: Range<Int>) -> [UInt8] {
    withExtendedLifetime(self) { Array(UnsafeRawBufferPointer(rebasing: bytes[range])) }
  }
}

/// One walk over the headers.
private struct TarScan {
  static let block = 512
  /// Names and pax records beyond this are no names any more.
  static let longestExtension = 1 << 16

  let path: String
  let file: MappedFile
  var members: [TarArchive.Member] = []
  private var at = 0
  /// From a preceding extension header, for the next member alone.
  private var nextName: String?
  private var nextSize: Int?

  init(path: String, file: MappedFile) {
    self.path = path
    self.file = file
  }

  mutating func run() throws {
    let count = file.bytes.count
    while true {
      guard at + Self.block <= count else {
        throw fail("the file ends without an end mark", "further members, or two empty blocks")
      }
      if field(0, Self.block).allSatisfy({ $0 == 0 }) { return }
      try checkSum()
      let stated = try number(124, 12, "size")
      let type = file.bytes[at + 156]
      let isExtension = "xgLK".utf8.contains(type)
      let size = isExtension ? stated : nextSize ?? stated
      let data = at + Self.block
      guard size <= count - data else {
        throw fail(
          "\(size) bytes of data, and the file ends after \(count - data)", "the whole member",
          "the copy that made it may have been cut short: copy it again")
      }
      try take(type, data..<data + size)
      at = min(count, data + (size + Self.block - 1) / Self.block * Self.block)
    }
  }

  private mutating func take(_ type: UInt8, _ range: Range<Int>) throws {
    switch type {
    case UInt8(ascii: "x"): try readPax(range)
    case UInt8(ascii: "L"):
      nextName = try text(Array(try extensionBytes(range).prefix { $0 != 0 }))
    case UInt8(ascii: "g"), UInt8(ascii: "K"): break
    case 0, UInt8(ascii: "0"), UInt8(ascii: "7"):
      let name = try nextName ?? headerName()
      // Archives before POSIX mark a folder by a slash alone.
      if !name.hasSuffix("/") {
        members.append(TarArchive.Member(name: try checked(name), range: range))
      }
      (nextName, nextSize) = (nil, nil)
    case UInt8(ascii: "5"): (nextName, nextSize) = (nil, nil)
    default:
      let kinds = [0x31: "a hard link", 0x32: "a symbolic link", 0x33: "a device", 0x34: "a device",
        0x36: "a pipe", 0x53: "a sparse file"]
      throw fail(kinds[Int(type)] ?? "a member of type \(type)", "regular files and folders")
    }
  }

  /// Records "LENGTH KEY=VALUE\n", the length counting itself (POSIX.1-2001, pax interchange).
  private mutating func readPax(_ range: Range<Int>) throws {
    var rest = try extensionBytes(range)[...]
    while !rest.isEmpty {
      let digits = rest.prefix { $0 != UInt8(ascii: " ") }
      guard let length = Int(String(decoding: digits.prefix(8), as: UTF8.self)),
        length > digits.count + 1, length <= rest.count,
        rest[rest.startIndex + length - 1] == UInt8(ascii: "\n")
      else { throw fail("a damaged pax record", "LENGTH KEY=VALUE") }
      let record = rest[rest.startIndex + digits.count + 1..<rest.startIndex + length - 1]
      rest = rest[(rest.startIndex + length)...]
      let key = record.prefix { $0 != UInt8(ascii: "=") }
      guard key.count < record.count else { throw fail("a pax record without =", "KEY=VALUE") }
      let value = Array(record.dropFirst(key.count + 1))
      switch String(decoding: key, as: UTF8.self) {
      case "path": nextName = try text(value)
      case "size":
        guard let size = Int(String(decoding: value, as: UTF8.self)), size >= 0 else {
          throw fail("a pax size that is no number", "a number of bytes")
        }
        nextSize = size
      case let name where name.hasPrefix("GNU.sparse."):
        throw fail("a sparse file", "regular files and folders")
      default: break
      }
    }
  }

  private func extensionBytes(_ range: Range<Int>) throws -> [UInt8] {
    guard range.count <= Self.longestExtension else {
      throw fail("a name of \(range.count) bytes", "at most \(Self.longestExtension)")
    }
    return file.slice(range)
  }

  /// name, or prefix/name in ustar.
  private func headerName() throws -> String {
    let name = try text(Array(field(0, 100).prefix { $0 != 0 }))
    // GNU's magic has spaces, and its header other things in place of the prefix.
    guard field(257, 6).elementsEqual("ustar\0".utf8) else { return name }
    let prefix = try text(Array(field(345, 155).prefix { $0 != 0 }))
    return prefix.isEmpty ? name : "\(prefix)/\(name)"
  }

  private func text(_ bytes: [UInt8]) throws -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw fail("a name that is not UTF-8", "a name in UTF-8")
    }
    return text
  }

  private func checked(_ name: String) throws -> String {
    guard let safe = relativeName(name) else {
      throw fail("the name \(name.debugDescription)", "a relative path that stays in its folder")
    }
    return safe
  }

  /// The sum of the header's bytes, the field of the sum itself counted as spaces.
  private func checkSum() throws {
    let header = field(0, Self.block)
    let own = field(148, 8)
    let sum = header.reduce(0) { $0 + Int($1) } - own.reduce(0) { $0 + Int($1) } + 8 * 32
    let stated = try number(148, 8, "checksum")
    guard sum == stated else {
      throw fail("a header whose bytes add up to \(sum)", "\(stated), as it says")
    }
  }

  /// Octal digits between spaces and a NUL; or, after a byte 0x80, big-endian binary (GNU).
  private func number(_ offset: Int, _ count: Int, _ what: String) throws -> Int {
    let bytes = field(offset, count)
    let first = bytes[bytes.startIndex]
    if first == 0x80 {
      let value = bytes.dropFirst()
      let high = value.dropLast(min(7, value.count))
      guard high.allSatisfy({ $0 == 0 }) else { throw fail("an endless \(what)", "a number") }
      return value.suffix(7).reduce(0) { $0 << 8 | Int($1) }
    }
    let digits = bytes.drop { $0 == UInt8(ascii: " ") }
      .prefix { $0 != 0 && $0 != UInt8(ascii: " ") }
    var value = 0
    for digit in digits {
      guard (0x30...0x37).contains(digit) else {
        throw fail("a \(what) that is no octal number", "digits 0 to 7")
      }
      value = value << 3 | Int(digit - 0x30)
    }
    return value
  }

  private func field(_ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: file.bytes[at + offset..<at + offset + count])
  }

  private func fail(_ found: String, _ expected: String, _ advice: String? = nil) -> UserError {
    UserError(
      .badData, path, at: "byte \(at)", found: found, expected: expected, advice: advice)
  }
}

/// `name` without "./"; nil for an absolute path, one with "..", and no name at all.
func relativeName(_ name: String) -> String? {
  guard !name.hasPrefix("/"), !name.utf8.contains(0), !name.contains("\\") else { return nil }
  let parts = name.split(separator: "/", omittingEmptySubsequences: true).filter { $0 != "." }
  guard !parts.isEmpty, !parts.contains("..") else { return nil }
  return parts.joined(separator: "/")
}
