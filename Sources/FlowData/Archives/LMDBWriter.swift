import Diagnostics
import Foundation

/// Writes an LMDB database (data format 1, pages of 4096 bytes) in one go, entries in the order of
/// their keys: leaves are filled front to back, large values lie on pages of their own, and the
/// branches above come at the end. The same entries give the same bytes.
///
/// The folder `path` with its `data.mdb` appears when `finish` has returned.
public final class LMDBWriter {
  static let pageSize = 4096
  /// LMDB puts a larger node's value on overflow pages: at least two nodes fit a page.
  private static let largestNode = (pageSize - 16) / 2 - 2
  /// LMDB's default limit.
  static let longestKey = 511

  private let path: String
  private let draft: String
  private var file: FileHandle?
  private var pages = 2
  private var leaf = PageBuilder(flags: LMDBFlag.leafPage)
  /// First key and number of every finished page of the level under way.
  private var leaves: [(key: [UInt8], page: Int)] = []
  private var entries = 0
  private var overflowPages = 0
  private var branchPages = 0
  private var lastKey: [UInt8]?

  /// Throws `.io` if the folder exists or cannot be made.
  public init(_ path: String) throws {
    guard !FileManager.default.fileExists(atPath: path) else {
      throw UserError(.io, path, found: "exists already", expected: "a new folder")
    }
    self.path = path
    draft = temporaryPath(beside: path)
    try Disk.local.createFolders(parentFolder(of: path))
    try Disk.local.remove(draft)
    try Disk.local.createFolder(draft)
    let data = "\(draft)/data.mdb"
    guard FileManager.default.createFile(atPath: data, contents: nil),
      let file = FileHandle(forWritingAtPath: data)
    else { throw Disk.failure(data) }
    self.file = file
    try append([UInt8](repeating: 0, count: 2 * Self.pageSize))
  }

  /// A database that was not finished leaves nothing.
  deinit { if file != nil { try? Disk.local.remove(draft) } }

  /// Keys ascend by their bytes.
  public func add(_ key: [UInt8], _ value: [UInt8]) throws {
    precondition(
      (1...Self.longestKey).contains(key.count) && lastKey?.lexicographicallyPrecedes(key) != false,
      "keys of 1 to \(Self.longestKey) bytes, ascending")
    lastKey = key
    let isLarge = 8 + key.count + value.count > Self.largestNode
    let size = 8 + key.count + (isLarge ? 8 : value.count)
    if !leaf.fits(size) { try finishLeaf() }
    var payload = value
    if isLarge {
      payload = littleEndian(pages, 8)
      try appendOverflow(value)
    }
    leaf.add(
      head: littleEndian(value.count, 4)
        + littleEndian(isLarge ? LMDBFlag.overflowValue : 0, 2), key, payload)
    entries += 1
  }

  private func appendOverflow(_ value: [UInt8]) throws {
    let count = (16 + value.count + Self.pageSize - 1) / Self.pageSize
    let head = littleEndian(pages, 8) + littleEndian(0, 2)
      + littleEndian(LMDBFlag.overflowPage, 2) + littleEndian(count, 4)
    let rest = count * Self.pageSize - 16 - value.count
    try append(head + value + [UInt8](repeating: 0, count: rest))
    pages += count
    overflowPages += count
  }

  private func finishLeaf() throws {
    leaves.append((leaf.firstKey, try append(&leaf)))
  }

  /// Completes the tree and lets the database appear.
  public func finish() throws {
    if !leaf.isEmpty { try finishLeaf() }
    let leafPages = leaves.count
    var (level, depth) = (leaves, leaves.isEmpty ? 0 : 1)
    while level.count > 1 {
      level = try branches(over: level)
      depth += 1
    }
    let table = littleEndian(0, 4) + littleEndian(0, 2) + littleEndian(depth, 2)
      + littleEndian(branchPages, 8) + littleEndian(leafPages, 8)
      + littleEndian(overflowPages, 8) + littleEndian(entries, 8)
      + littleEndian(level.first?.page ?? -1, 8)
    try writeMeta(page: 1, table: table, transaction: 1)
    try writeMeta(page: 0, table: Self.emptyTable, transaction: 0)
    try file?.synchronize()
    try file?.close()
    file = nil
    try Disk.local.rename(draft, to: path)
    try Disk.local.syncFolder(parentFolder(of: path))
  }

  private func branches(
    over level: [(key: [UInt8], page: Int)]
  ) throws -> [(key: [UInt8], page: Int)] {
    var above: [(key: [UInt8], page: Int)] = []
    var branch = PageBuilder(flags: LMDBFlag.branchPage)
    func finish() throws {
      above.append((branch.firstKey, try append(&branch)))
      branchPages += 1
    }
    for child in level {
      if !branch.fits(8 + child.key.count) { try finish() }
      // The first key of a branch is nothing, for all that comes before the second lies there.
      branch.add(
        head: littleEndian(child.page, 6), branch.isEmpty ? [] : child.key, [],
        firstKey: child.key)
    }
    try finish()
    return above
  }

  /// No pages, no entries, no root.
  private static let emptyTable =
    [UInt8](repeating: 0, count: 40) + [UInt8](repeating: 255, count: 8)

  private func writeMeta(page: Int, table: [UInt8], transaction: Int) throws {
    let mapSize = ((pages * Self.pageSize) >> 20 + 1) << 20
    // Pages that are free: none; its field of padding holds the page size, 8 says keys are numbers.
    let free = littleEndian(Self.pageSize, 4) + littleEndian(8, 2) + Self.emptyTable.dropFirst(6)
    let meta = littleEndian(page, 8) + littleEndian(0, 2) + littleEndian(LMDBFlag.metaPage, 2)
      + littleEndian(0, 4) + littleEndian(0xBEEF_C0DE, 4) + littleEndian(1, 4)
      + littleEndian(0, 8) + littleEndian(mapSize, 8) + free + table
      + littleEndian(pages - 1, 8) + littleEndian(transaction, 8)
    try file?.seek(toOffset: UInt64(page * Self.pageSize))
    try append(meta)
  }

  private func append(_ page: inout PageBuilder) throws -> Int {
    let number = pages
    try append(page.bytes(number: number))
    page = PageBuilder(flags: page.flags)
    pages += 1
    return number
  }

  private func append(_ bytes: [UInt8]) throws {
    do {
      try file?.write(contentsOf: Data(bytes))
    } catch {
      throw UserError(
        .io, path, found: "cannot be written, \(error.localizedDescription)",
        expected: "room on the disk")
    }
  }
}

/// A page of nodes under way: offsets grow from the front, nodes from the back.
private struct PageBuilder {
  let flags: Int
  private(set) var firstKey: [UInt8] = []
  private var offsets: [Int] = []
  /// The nodes, last added first.
  private var nodes: [UInt8] = []

  init(flags: Int) { self.flags = flags }

  var isEmpty: Bool { offsets.isEmpty }

  func fits(_ node: Int) -> Bool {
    16 + 2 * (offsets.count + 1) + nodes.count + node + node % 2 <= LMDBWriter.pageSize
  }

  /// - Parameter head: the node's first 6 bytes.
  mutating func add(
    head: [UInt8], _ key: [UInt8], _ value: [UInt8], firstKey first: [UInt8]? = nil
  ) {
    if isEmpty { firstKey = first ?? key }
    var node = head + littleEndian(key.count, 2) + key + value
    // Nodes start at even offsets.
    if node.count % 2 == 1 { node.append(0) }
    nodes = node + nodes
    offsets.append(LMDBWriter.pageSize - nodes.count)
  }

  func bytes(number: Int) -> [UInt8] {
    let lower = 16 + 2 * offsets.count
    let upper = LMDBWriter.pageSize - nodes.count
    let head = littleEndian(number, 8) + littleEndian(0, 2) + littleEndian(flags, 2)
      + littleEndian(lower, 2) + littleEndian(upper, 2)
    return head + offsets.flatMap { littleEndian($0, 2) }
      + [UInt8](repeating: 0, count: upper - lower) + nodes
  }
}

private func littleEndian(_ value: Int, _ count: Int) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}
