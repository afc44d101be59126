import Diagnostics
import Foundation

/// A database of LMDB 0.9 (data format 1, 64 bits, little-endian), read in place without locks:
/// the entries of its main table in the order of their keys.
///
/// Opening walks the whole tree and checks every page and node that it meets against the file, so
/// that a cut or garbled database is an error here and never a fault later; why not liblmdb, see
/// docs/decisions. The file must not be written to meanwhile.
public struct LMDBFile: Sendable {
  /// The file itself, `data.mdb` of a database folder.
  public let path: String
  public let count: Int
  private let file: MappedFile
  private let pageSize: Int
  /// Offsets of the entries' nodes in the file.
  private let nodes: [Int]

  /// - Parameter path: a database file, or the folder that holds `data.mdb`.
  /// Throws `.missingInput`, `.io`, or `.badData` with the page where the database breaks.
  public init(_ path: String) throws {
    var status = stat()
    let isFolder = stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    try self.init(MappedFile(isFolder ? "\(path)/data.mdb" : path))
  }

  /// The same for bytes in memory, which must outlive the database.
  package init(unowned bytes: UnsafeRawBufferPointer, path: String) throws {
    try self.init(MappedFile(unowned: bytes, path: path))
  }

  private init(_ file: MappedFile) throws {
    (path, self.file) = (file.path, file)
    let meta = try LMDBMeta(path: path, bytes: file.bytes)
    pageSize = meta.pageSize
    var walk = LMDBWalk(path: path, bytes: file.bytes, meta: meta)
    nodes = try walk.nodes()
    count = nodes.count
  }

  public var byteCount: Int { file.bytes.count }

  public func key(_ i: Int) -> [UInt8] {
    file.slice(nodes[i] + 8..<nodes[i] + 8 + Int(file.bytes.u16(nodes[i] + 6)))
  }

  public func valueCount(_ i: Int) -> Int { file.bytes.u32(nodes[i]) }

  /// Throws `.badData` if the value lies on overflow pages that are no such pages.
  public func value(_ i: Int) throws -> [UInt8] {
    let node = nodes[i]
    let start = node + 8 + file.bytes.u16(node + 6)
    let size = valueCount(i)
    guard file.bytes.u16(node + 4) & LMDBFlag.overflowValue != 0 else {
      return file.slice(start..<start + size)
    }
    let page = file.bytes.u64(start)!
    let offset = page * pageSize
    let pages = file.bytes.u32(offset + 12)
    guard file.bytes.u16(offset + 10) == LMDBFlag.overflowPage,
      file.bytes.u64(offset) == page, 16 + size <= pages * pageSize
    else {
      throw UserError(
        .badData, path, at: "page \(page)", found: "no overflow pages for \(size) bytes",
        expected: "the value of key \(String(decoding: key(i), as: UTF8.self).debugDescription)")
    }
    return file.slice(offset + 16..<offset + 16 + size)
  }

  /// The number of the entry `key`; nil if there is none.
  public func find(_ key: some Collection<UInt8>) -> Int? {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if self.key(middle).lexicographicallyPrecedes(key) { low = middle + 1 } else { high = middle }
    }
    return low < count && self.key(low).elementsEqual(key) ? low : nil
  }
}

enum LMDBFlag {
  // Pages.
  static let branchPage = 0x01, leafPage = 0x02, overflowPage = 0x04, metaPage = 0x08
  // Nodes: the value lies elsewhere; is a table; is a list of values.
  static let overflowValue = 0x01, table = 0x02, duplicates = 0x04
}

/// Pages 0 and 1 hold two versions of: magic, version, address, map size, two tables of 48 bytes
/// (the first, of free pages, begins with the page size), last page, transaction. The newer counts.
private struct LMDBMeta {
  let pageSize: Int
  let tableFlags: Int
  let depth: Int
  let entries: Int
  /// -1 for an empty table.
  let root: Int

  init(path: String, bytes: UnsafeRawBufferPointer) throws {
    func fail(_ place: String, _ found: String, _ expected: String) -> UserError {
      UserError(.badData, path, at: place, found: found, expected: expected)
    }
    guard bytes.count >= 2 * 512 else {
      throw fail("byte \(bytes.count)", "the file ends in its first page", "an LMDB database")
    }
    var newest: (base: Int, transaction: Int)?
    var size = 0
    for page in 0..<2 {
      let base = page * size
      guard base + 152 <= bytes.count, bytes.u32(base + 16) == 0xBEEF_C0DE,
        bytes.u16(base + 10) & LMDBFlag.metaPage != 0
      else { throw fail("page \(page)", "no mark of LMDB", "an LMDB database") }
      guard bytes.u32(base + 20) == 1 else {
        throw fail("page \(page)", "data format \(bytes.u32(base + 20))", "format 1 (LMDB 0.9)")
      }
      let stated = bytes.u32(base + 40)
      guard stated.nonzeroBitCount == 1, (512...65_536).contains(stated),
        page == 0 || stated == size
      else { throw fail("page \(page)", "pages of \(stated) bytes", "512 to 65536") }
      size = stated
      if let transaction = bytes.u64(base + 144), transaction >= newest?.transaction ?? 0 {
        newest = (base, transaction)
      }
    }
    guard let base = newest?.base else { throw fail("page 0", "no transaction", "one") }
    pageSize = size
    tableFlags = bytes.u16(base + 92)
    depth = bytes.u16(base + 94)
    guard let entries = bytes.u64(base + 120) else {
      throw fail("byte \(base + 120)", "an endless number of entries", "a number")
    }
    self.entries = entries
    root = bytes.u64(base + 128) ?? -1
  }
}

/// The walk over branch and leaf pages. A page: number (8 bytes), 2 unused, flags, lower, upper,
/// then 16-bit offsets of nodes up to `lower`, and the nodes from `upper` to the page's end.
/// A node: two halves of a size, flags, key size, key, value.
private struct LMDBWalk {
  let path: String
  let bytes: UnsafeRawBufferPointer
  let meta: LMDBMeta
  private var pages: Int { bytes.count / meta.pageSize }
  private var visited = 0
  private var found: [Int] = []

  init(path: String, bytes: UnsafeRawBufferPointer, meta: LMDBMeta) {
    (self.path, self.bytes, self.meta) = (path, bytes, meta)
  }

  /// Offsets of all entries' nodes, by key.
  mutating func nodes() throws -> [Int] {
    // Sorted by something but their bytes, or several values under one key.
    guard meta.tableFlags & 0x3E == 0 else {
      throw fail(0, "a table of kind \(meta.tableFlags)", "keys in byte order, one value each")
    }
    if meta.root >= 0 { try visit(meta.root, depth: meta.depth) }
    guard found.count == meta.entries else {
      throw fail(0, "\(found.count) entries", "\(meta.entries), as the database says")
    }
    return found
  }

  private mutating func visit(_ page: Int, depth: Int) throws {
    guard page < pages else {
      throw fail(
        page, "a page beyond the end of the file", "one of \(pages) pages",
        "the copy that made the file may have been cut short: copy it again")
    }
    visited += 1
    // Beyond 32 levels of at least two pages each there is no file; more visits than pages repeat.
    guard depth >= 1, depth <= 32, visited <= pages else {
      throw fail(page, "a tree that does not end", "\(meta.depth) levels")
    }
    let base = page * meta.pageSize
    let isLeaf = depth == 1
    guard bytes.u64(base) == page, bytes.u16(base + 10) & 0x2F
      == (isLeaf ? LMDBFlag.leafPage : LMDBFlag.branchPage)
    else { throw fail(page, "another kind of page", isLeaf ? "a leaf" : "a branch") }
    let lower = bytes.u16(base + 12)
    guard lower >= 16, lower % 2 == 0, lower <= meta.pageSize else {
      throw fail(page, "a list of nodes of \(lower) bytes", "16 to \(meta.pageSize)")
    }
    for slot in 0..<(lower - 16) / 2 {
      let offset = bytes.u16(base + 16 + 2 * slot)
      guard offset >= lower, offset + 8 <= meta.pageSize else {
        throw fail(page, "a node at byte \(offset)", "one behind the list, within the page")
      }
      let end = offset + 8 + bytes.u16(base + offset + 6)
      guard end <= meta.pageSize else { throw fail(page, "a key beyond the page", "a whole key") }
      if isLeaf {
        try take(page, node: base + offset, room: meta.pageSize - end)
      } else {
        let node = base + offset
        let child = bytes.u32(node) | bytes.u16(node + 4) << 32
        try visit(child, depth: depth - 1)
      }
    }
  }

  private mutating func take(_ page: Int, node: Int, room: Int) throws {
    let flags = bytes.u16(node + 4)
    guard flags & ~LMDBFlag.overflowValue == 0 else {
      throw fail(page, "a table within the table", "plain values")
    }
    let size = bytes.u32(node)
    if flags == 0 {
      guard size <= room else { throw fail(page, "a value beyond the page", "a whole value") }
    } else {
      let start = node + 8 + bytes.u16(node + 6)
      guard room >= 8, let first = bytes.u64(start), first >= 2, first < pages,
        16 + size <= (pages - first) * meta.pageSize
      else {
        throw fail(
          page, "a value of \(size) bytes that lies beyond the end of the file", "a whole file",
          "the copy that made it may have been cut short: copy it again")
      }
    }
    if let last = found.last {
      guard key(last).lexicographicallyPrecedes(key(node)) else {
        throw fail(page, "keys out of order", "keys in the order of their bytes")
      }
    }
    found.append(node)
  }

  private func key(_ node: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[node + 8..<node + 8 + bytes.u16(node + 6)])
  }

  private func fail(
    _ page: Int, _ found: String, _ expected: String, _ advice: String? = nil
  ) -> UserError {
    UserError(
      .badData, path, at: "page \(page)", found: found, expected: expected, advice: advice)
  }
}

extension UnsafeRawBufferPointer {
  /// Little-endian numbers at a byte offset, which need not be aligned.
  func u16(_ at: Int) -> Int {
    Int(UInt16(littleEndian: loadUnaligned(fromByteOffset: at, as: UInt16.self)))
  }

  func u32(_ at: Int) -> Int {
    Int(UInt32(littleEndian: loadUnaligned(fromByteOffset: at, as: UInt32.self)))
  }

  /// nil beyond 2^47: no file has a page, an entry or a byte of such a number.
  func u64(_ at: Int) -> Int? {
    let value = UInt64(littleEndian: loadUnaligned(fromByteOffset: at, as: UInt64.self))
    return value < 1 << 47 ? Int(value) : nil
  }
}
