import CImage
import Diagnostics
import Foundation

/// Whole files in and out of memory, with errors that name the file.
enum ImageFile {
  /// Files above this size are refused unread: no picture within the limits needs as much.
  static let maximumBytes = 1 << 30

  /// The contents of the file, or its first `limit` bytes.
  static func read(_ path: String, limit: Int? = nil) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw systemError(path, expected: "a readable image file") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw systemError(path, expected: "a readable image file")
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw UserError(
        .badData, path, found: "not a regular file", expected: "a PNG, JPEG or WebP file")
    }
    let size = Int(status.st_size)
    guard size > 0 else { throw emptyFile(path) }
    guard size <= maximumBytes else {
      throw UserError(
        .badData, path, found: "\(size) bytes", expected: "an image file of at most 1 GiB")
    }
    let wanted = min(size, limit ?? size)
    var missing = wanted
    let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, count in
      while missing > 0 {
        let got = Foundation.read(descriptor, buffer.baseAddress! + (wanted - missing), missing)
        if got < 0 && errno == EINTR { continue }
        if got <= 0 { break }
        missing -= got
      }
      count = wanted - missing
    }
    guard missing == 0 else {
      throw UserError(
        .io, path, at: "byte \(wanted - missing)", found: "the file could not be read further",
        expected: "\(size) bytes")
    }
    return bytes
  }

  /// Bytes of the file.
  static func size(_ path: String) throws -> Int {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw systemError(path, expected: "a readable image file")
    }
    return Int(status.st_size)
  }

  /// Writes `bytes` as the file `path`. A file that could not be finished is removed.
  static func write(_ bytes: UnsafeRawBufferPointer, to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw writeError(path) }
    var written = 0
    while written < bytes.count {
      let count = Foundation.write(
        descriptor, bytes.baseAddress! + written, bytes.count - written)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        let error = writeError(path)
        var status = stat()
        let regular = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        close(descriptor)
        if regular { unlink(path) }
        throw error
      }
      written += count
    }
    guard close(descriptor) == 0 else { throw writeError(path) }
  }

  static func write(_ text: String, to path: String) throws {
    var text = text
    try text.withUTF8 { try write(UnsafeRawBufferPointer($0), to: path) }
  }

  static func emptyFile(_ path: String) -> UserError {
    UserError(
      .badData, path, found: "0 bytes", expected: "a PNG, JPEG or WebP file",
      advice: "the copy that made it may have been cut short: copy it again or remove it")
  }

  private static func writeError(_ path: String) -> UserError {
    let full = errno == ENOSPC || errno == EDQUOT
    return UserError(
      .io, path, found: String(cString: strerror(errno)), expected: "a file that can be written",
      advice: full ? "make room on the disk and run the command again" : nil)
  }

  /// The error of the last system call; a file that is not there is `.missingInput`.
  static func systemError(_ path: String, expected: String) -> UserError {
    UserError(
      errno == ENOENT || errno == ENOTDIR ? .missingInput : .io, path,
      found: String(cString: strerror(errno)), expected: expected)
  }
}

/// What libpng or TurboJPEG said.
extension cimage_failure {
  var text: String {
    withUnsafeBytes(of: message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
