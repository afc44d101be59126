import CKernels
import Foundation

/// A block of float32 memory, 64-byte aligned, from the pool of its process.
///
/// Storage is handed from owner to owner and written by one at a time; nothing locks it.
public final class Storage: @unchecked Sendable {
  public let base: UnsafeMutablePointer<Float>
  public let count: Int
  private let release: @Sendable () -> Void

  /// Uninitialised memory for `count` elements.
  public init(count: Int) {
    let block = MemoryPool.shared.take(bytes: count * MemoryLayout<Float>.stride)
    self.base = block.address.assumingMemoryBound(to: Float.self)
    self.count = count
    self.release = { MemoryPool.shared.give(block) }
  }

  /// Uninitialised memory that goes back to the system as soon as it is let go: for maps so large
  /// that a pool of them would be the larger part of the process.
  public init(unpooledCount count: Int) {
    let bytes = max(4096, count * MemoryLayout<Float>.stride)
    MemoryPool.shared.note(unpooled: bytes)
    let address = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let address, address != MAP_FAILED else {
      fatalError("out of memory: \(bytes >> 20) MiB asked for")
    }
    if bytes >= 1 << 21 { madvise(address, bytes, 14 /* MADV_HUGEPAGE */) }
    self.base = address.assumingMemoryBound(to: Float.self)
    self.count = count
    nonisolated(unsafe) let mapped = address
    self.release = {
      munmap(mapped, bytes)
      MemoryPool.shared.note(unpooled: -bytes)
    }
  }

  /// Memory that somebody else owns, such as a shared window or a mapped file; `owner` is kept
  /// alive.
  public init(borrowing base: UnsafeMutablePointer<Float>, count: Int, owner: AnyObject) {
    self.base = base
    self.count = count
    nonisolated(unsafe) let owner = owner
    self.release = { withExtendedLifetime(owner) {} }
  }

  deinit { release() }
}

/// Keeps freed blocks by size, so that a training step asks the system for no memory once the
/// first step has run (PyTorch on CPUs gives them back and faults them in again at every call).
final class MemoryPool: @unchecked Sendable {
  static let shared = MemoryPool()

  struct Block: @unchecked Sendable {
    let address: UnsafeMutableRawPointer
    let sizeClass: Int
  }

  private let lock = NSLock()
  private var free: [Int: [UnsafeMutableRawPointer]] = [:]
  private var taken = 0
  private var held = 0
  private var mostHeld = 0
  private var ceiling = Int.max

  /// Rounds up to 1/8 of a power of two: at most 12.5 % is wasted, and few classes exist.
  static func sizeClass(bytes: Int) -> Int {
    let minimum = 64
    guard bytes > minimum else { return minimum }
    let step = max(minimum, 1 << (Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount - 3))
    return (bytes + step - 1) / step * step
  }

  func take(bytes: Int) -> Block {
    let size = MemoryPool.sizeClass(bytes: bytes)
    lock.lock()
    defer { lock.unlock() }
    taken += size
    if let address = free[size]?.popLast() { return Block(address: address, sizeClass: size) }
    if held + size > ceiling { releaseFree() }
    held += size
    mostHeld = max(mostHeld, held)
    var address: UnsafeMutableRawPointer?
    let alignment = size >= 1 << 21 ? 1 << 21 : 64
    let status = posix_memalign(&address, alignment, size)
    guard status == 0, let address else {
      fatalError("out of memory: \(size >> 20) MiB asked for, \(held >> 20) MiB held")
    }
    if size >= 1 << 21 { madvise(address, size, 14 /* MADV_HUGEPAGE */) }
    return Block(address: address, sizeClass: size)
  }

  func give(_ block: Block) {
    lock.lock()
    defer { lock.unlock() }
    taken -= block.sizeClass
    free[block.sizeClass, default: []].append(block.address)
  }

  /// Counts memory that is not of the pool's blocks, or that it is gone.
  func note(unpooled bytes: Int) {
    lock.lock()
    defer { lock.unlock() }
    if held + bytes > ceiling { releaseFree() }
    taken += bytes
    held += bytes
    mostHeld = max(mostHeld, held)
  }

  /// Gives all free blocks back to the system.
  func trim() {
    lock.lock()
    defer { lock.unlock() }
    releaseFree()
  }

  func setCeiling(_ bytes: Int) {
    lock.lock()
    defer { lock.unlock() }
    ceiling = bytes
  }

  /// With the lock held.
  private func releaseFree() {
    for (size, blocks) in free {
      for block in blocks { Foundation.free(block) }
      held -= size * blocks.count
    }
    free = [:]
    lf_trim_heap()
  }

  /// The most bytes held at once since the last call with `restart`.
  func peak(restart: Bool) -> Int {
    lock.lock()
    defer { lock.unlock() }
    defer { if restart { mostHeld = held } }
    return mostHeld
  }

  /// Bytes in use and bytes held, free ones included.
  var usage: (taken: Int, held: Int) {
    lock.lock()
    defer { lock.unlock() }
    return (taken, held)
  }
}

/// Memory of the tensor pool in bytes: in use now, and held in all.
public func tensorMemory() -> (taken: Int, held: Int) { MemoryPool.shared.usage }

/// The most bytes of tensors that were held at once since the last call with `restart`.
public func peakTensorMemory(restart: Bool = false) -> Int {
  MemoryPool.shared.peak(restart: restart)
}

/// Gives the pool's free blocks back to the system: between works of different sizes, where memory
/// is short.
public func releaseFreeTensorMemory() { MemoryPool.shared.trim() }

/// Above `bytes` the pool gives its free blocks back before it asks the system for another: it then
/// holds no more than it must. nil for the pool's own way, to keep all that it ever held.
public func setTensorMemoryCeiling(_ bytes: Int?) {
  MemoryPool.shared.setCeiling(bytes ?? .max)
}

/// What the pool sets aside for a tensor of `count` elements, in bytes.
public func pooledBytes(count: Int) -> Int {
  MemoryPool.sizeClass(bytes: count * MemoryLayout<Float>.stride)
}

/// Keeps freed memory with the process and lets its heap grow in large steps: what a training step
/// frees, the next one takes again without asking the system. Call it once, before any work.
public func keepFreedMemory() { lf_keep_heap() }
