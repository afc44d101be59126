import Diagnostics
import Foundation

/// Size and SHA-256 of a finished file.
public struct FileRecord: Codable, Equatable, Sendable {
  public var bytes: Int
  /// 64 lower-case hexadecimal digits.
  public var sha256: String

  public init(bytes: Int, sha256: String) {
    self.bytes = bytes
    self.sha256 = sha256
  }

  /// Reads the file at `path`.
  public init(ofFile path: String) throws {
    var status = stat()
    guard stat(path, &status) == 0 else { throw Disk.failure(path) }
    self.init(bytes: Int(status.st_size), sha256: try sha256Hex(ofFile: path))
  }
}

/// A file that is being written front to back, hashed on the way, and synced when finished.
///
/// A full disk gives a `UserError` (`.io`) that names the file and the room left. The process must
/// ignore SIGXFSZ if a limit on file sizes is to end in that error too.
public final class OutputFile {
  public let path: String
  public private(set) var byteCount = 0
  private let disk: Disk
  private let hasher = SHA256Hasher()
  private var descriptor: Int32

  /// Creates the file, or empties the one that exists.
  public init(_ path: String, disk: Disk = .local) throws {
    self.path = path
    self.disk = disk
    try disk.announce(.create(path))
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw Disk.failure(path) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    let piece = 8 << 20
    var start = 0
    while start < bytes.count {
      let end = min(start + piece, bytes.count)
      try writePiece(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
      start = end
    }
  }

  private func writePiece(_ bytes: UnsafeRawBufferPointer) throws {
    precondition(descriptor >= 0, "\(path) is finished")
    try disk.announce(.write(path, bytes: bytes.count))
    var done = 0
    while done < bytes.count {
      let written = Foundation.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
      if written < 0 && errno == EINTR { continue }
      // A write of nothing would repeat for ever.
      guard written > 0 else { throw outOfRoom(written < 0 ? errno : ENOSPC) }
      done += written
    }
    hasher.update(bytes)
    byteCount += bytes.count
  }

  /// Makes the contents durable and closes the file. A second call is a defect of the caller.
  public func finish() throws -> FileRecord {
    precondition(descriptor >= 0, "\(path) is finished")
    try disk.announce(.sync(path))
    guard fsync(descriptor) == 0 else { throw outOfRoom(errno) }
    let status = close(descriptor)
    descriptor = -1
    guard status == 0 else { throw outOfRoom(errno) }
    return FileRecord(bytes: byteCount, sha256: hasher.finalizeHex())
  }

  private func outOfRoom(_ code: Int32) -> UserError {
    var room = statvfs()
    let known = statvfs(parentFolder(of: path), &room) == 0
    let bytes = Int(room.f_bavail) * Int(room.f_frsize)
    let free = known ? "\(bytes) bytes free there" : "room unknown"
    return UserError(
      .io, path, at: "byte \(byteCount)",
      found: "\(String(cString: strerror(code))) (\(free))",
      advice: code == ENOSPC || code == EFBIG || code == EDQUOT
        ? "free some room, or write to another disk" : nil)
  }
}
