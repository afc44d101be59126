import Diagnostics
import Foundation

/// A file that only grows, one `write` per record: what a killed process leaves is a prefix of
/// what it wrote, with at most the last record torn.
final class AppendingFile {
  let path: String
  private let descriptor: Int32

  /// Opens `path`, making it if need be.
  init(_ path: String) throws {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw systemError(path, "cannot be opened for writing") }
  }

  deinit { close(descriptor) }

  func append(_ bytes: [UInt8]) throws {
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes {
        write(descriptor, $0.baseAddress! + written, bytes.count - written)
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw systemError(path, "cannot be written")
      }
      written += count
    }
  }

  func append(_ text: String) throws { try append(Array(text.utf8)) }
}

/// `UserError` of the system call that just failed, from `errno`.
func systemError(_ path: String, _ what: String, advice: String? = nil) -> UserError {
  let code = errno
  let hint = code == ENOSPC || code == EDQUOT ? "free some space and start again: it resumes" : nil
  return UserError(
    .io, path, found: "\(what), \(String(cString: strerror(code)))", advice: advice ?? hint)
}

/// Replaces `path` with `bytes` in one step: readers see the old file or the new one.
func replaceFile(_ path: String, with bytes: [UInt8]) throws {
  let temporary = "\(path).\(getpid()).tmp"
  let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
  guard descriptor >= 0 else { throw systemError(temporary, "cannot be opened for writing") }
  var written = 0
  while written < bytes.count {
    let count = bytes.withUnsafeBytes {
      write(descriptor, $0.baseAddress! + written, bytes.count - written)
    }
    if count < 0 && errno == EINTR { continue }
    guard count >= 0 else {
      let error = systemError(path, "cannot be written")
      close(descriptor)
      unlink(temporary)
      throw error
    }
    written += count
  }
  guard fsync(descriptor) == 0, close(descriptor) == 0, rename(temporary, path) == 0 else {
    let error = systemError(path, "cannot be written")
    unlink(temporary)
    throw error
  }
}
