import Diagnostics
import Foundation

/// A regular file mapped read-only into memory for as long as this object lives.
public final class MappedFile: @unchecked Sendable {
  public let path: String
  public let bytes: UnsafeRawBufferPointer
  private let isMapped: Bool

  /// Bytes in the caller's memory, which must outlive this object, as if they were the file `path`.
  init(unowned bytes: UnsafeRawBufferPointer, path: String) {
    (self.path, self.bytes, isMapped) = (path, bytes, false)
  }

  /// Throws `.missingInput` if the file does not exist, `.badData` if it is no regular file,
  /// `.io` if the system refuses.
  public init(_ path: String) throws {
    self.path = path
    isMapped = true
    // O_NONBLOCK: opening a pipe must fail below, not wait for a writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw UserError(
        errno == ENOENT ? .missingInput : .io, path, found: String(cString: strerror(errno)),
        expected: "a readable file")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw UserError(.io, path, found: String(cString: strerror(errno)))
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw UserError(.badData, path, found: "no regular file", expected: "a file")
    }
    let count = Int(status.st_size)
    guard count > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED
    else { throw UserError(.io, path, found: String(cString: strerror(errno))) }
    bytes = UnsafeRawBufferPointer(start: base, count: count)
  }

  /// Tells the system that reads will jump about: without this it reads megabytes ahead of each.
  func expectRandomAccess() {
    guard isMapped, let base = bytes.baseAddress else { return }
    madvise(UnsafeMutableRawPointer(mutating: base), bytes.count, MADV_RANDOM)
  }

  deinit {
    guard isMapped, let base = bytes.baseAddress else { return }
    munmap(UnsafeMutableRawPointer(mutating: base), bytes.count)
  }
}

/// Has the system begin to read these bytes of a mapped file; returns at once.
func adviseWillNeed(_ base: UnsafeRawPointer, _ count: Int) {
  let page = sysconf(Int32(_SC_PAGESIZE))
  let start = Int(bitPattern: base) / page * page
  let end = Int(bitPattern: base) + count
  madvise(UnsafeMutableRawPointer(bitPattern: start), end - start, MADV_WILLNEED)
}
