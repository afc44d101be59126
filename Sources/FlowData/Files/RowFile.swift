import Diagnostics
import Foundation

/// Rows of fixed size that are computed in items of any order and kept as they come, so that work
/// that was killed goes on where it stopped: `rows.bin`, and a journal with the SHA-256 of every
/// finished item, written after its rows are on disk.
///
/// Item i holds rows i·itemRows ..< (i + 1)·itemRows; the last may be short. One process writes:
/// the journal is locked as long as this object lives, and its process with it.
public final class RowFile {
  public let folder: String
  public let rowBytes: Int
  public let itemRows: Int
  public let count: Int
  private let data: Int32
  private let journal: Int32
  private var done: Set<Int> = []

  public static let dataName = "rows.bin"
  public static let journalName = "items.txt"

  /// Opens the folder's rows, or makes them. Items whose rows are damaged count as not done.
  ///
  /// - Parameter count: rows in all; a later call may ask for more or fewer.
  /// - Throws: `UserError` of status `io` where another process holds the rows.
  public init(folder: String, rowBytes: Int, itemRows: Int, count: Int) throws {
    precondition(rowBytes > 0 && itemRows > 0 && count > 0, "\(count) rows of \(rowBytes) bytes")
    (self.folder, self.rowBytes, self.itemRows, self.count) = (folder, rowBytes, itemRows, count)
    try Disk.local.createFolders(folder)
    data = try RowFile.open("\(folder)/\(RowFile.dataName)", O_RDWR | O_CREAT)
    journal = try RowFile.open("\(folder)/\(RowFile.journalName)", O_RDWR | O_CREAT | O_APPEND)
    guard flock(journal, LOCK_EX | LOCK_NB) == 0 else {
      throw UserError(
        .io, folder, found: "another process writes these rows", expected: "one at a time",
        advice: "wait for it, or name another folder with --work")
    }
    var status = stat()
    let bytes = off_t(count * rowBytes)
    guard fstat(data, &status) == 0, status.st_size >= bytes || ftruncate(data, bytes) == 0 else {
      throw Disk.failure("\(folder)/\(RowFile.dataName)")
    }
    try readJournal()
  }

  deinit {
    close(data)
    close(journal)
  }

  private static func open(_ path: String, _ flags: Int32) throws -> Int32 {
    let descriptor = Foundation.open(path, flags | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw Disk.failure(path) }
    return descriptor
  }

  public var itemCount: Int { (count + itemRows - 1) / itemRows }
  public func isDone(_ item: Int) -> Bool { done.contains(item) }
  public var remaining: [Int] { (0..<itemCount).filter { !done.contains($0) } }

  private func rows(_ item: Int) -> Range<Int> {
    item * itemRows..<min((item + 1) * itemRows, count)
  }

  /// Lines «item rows sha256»; a torn last line, or one whose rows differ, is passed over.
  private func readJournal() throws {
    let path = "\(folder)/\(RowFile.journalName)"
    guard let contents = FileManager.default.contents(atPath: path) else {
      throw Disk.failure(path)
    }
    if let last = contents.last, last != UInt8(ascii: "\n") {
      guard Foundation.write(journal, "\n", 1) == 1 else { throw Disk.failure(path) }
    }
    for line in String(decoding: contents, as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 3, let item = Int(words[0]), (0..<itemCount).contains(item),
        Int(words[1]) == rows(item).count
      else { continue }
      let bytes = try read(rows(item))
      if bytes.withUnsafeBytes({ sha256Hex(of: $0) }) == words[2] { done.insert(item) }
    }
  }

  /// Keeps an item's rows for good.
  public func write(item: Int, _ bytes: [UInt8]) throws {
    let range = rows(item)
    precondition(
      bytes.count == range.count * rowBytes, "item \(item): \(bytes.count) bytes for \(range)")
    var written = 0
    while written < bytes.count {
      let n = bytes.withUnsafeBytes {
        pwrite(
          data, $0.baseAddress! + written, bytes.count - written,
          off_t(range.lowerBound * rowBytes + written))
      }
      if n < 0 && errno == EINTR { continue }
      guard n > 0 else { throw Disk.failure("\(folder)/\(RowFile.dataName)") }
      written += n
    }
    guard fdatasync(data) == 0 else { throw Disk.failure("\(folder)/\(RowFile.dataName)") }
    let line = "\(item) \(range.count) \(bytes.withUnsafeBytes { sha256Hex(of: $0) })\n"
    guard Foundation.write(journal, line, line.utf8.count) == line.utf8.count,
      fdatasync(journal) == 0
    else { throw Disk.failure("\(folder)/\(RowFile.journalName)") }
    done.insert(item)
  }

  /// - Parameter range: rows that are done.
  public func read(_ range: Range<Int>) throws -> [UInt8] {
    let size = range.count * rowBytes
    let path = "\(folder)/\(RowFile.dataName)"
    return try [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
      while filled < size {
        let n = pread(
          data, buffer.baseAddress! + filled, size - filled,
          off_t(range.lowerBound * rowBytes + filled))
        if n < 0 && errno == EINTR { continue }
        guard n > 0 else { throw Disk.failure(path) }
        filled += n
      }
    }
  }
}
