import Diagnostics
import Foundation

/// Memory that ends where the process may not read: a parser that looks one byte beyond its input
/// ends the process.
final class GuardedBuffer {
  private let base: UnsafeMutableRawPointer
  private let capacity: Int
  private let page = 4096

  /// - Parameter capacity: bytes of the longest input.
  init(capacity: Int) throws {
    self.capacity = (capacity + page - 1) / page * page
    let size = self.capacity + page
    guard let base = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      base != MAP_FAILED, mprotect(base + self.capacity, page, PROT_NONE) == 0
    else { throw UserError(.io, "guarded memory", found: String(cString: strerror(errno))) }
    self.base = base
  }

  deinit { munmap(base, capacity + page) }

  /// `bytes`, with the guard behind the last one.
  func hold(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
    precondition(bytes.count <= capacity, "\(bytes.count) bytes for \(capacity)")
    let start = base + (capacity - bytes.count)
    bytes.withUnsafeBytes { raw in
      if let source = raw.baseAddress { memcpy(start, source, raw.count) }
    }
    return UnsafeRawBufferPointer(start: start, count: bytes.count)
  }
}
