import CMPI
import Foundation

/// Memory that all ranks of one machine read and write, one part per rank, each aligned to a page.
public protocol SharedWindow: AnyObject {
  /// Every rank's part as this rank sees it, by rank.
  var parts: [UnsafeMutableRawPointer] { get }
  /// Collective: what any rank wrote before it is what every rank reads after it.
  func fence() throws
}

/// Bytes that shared windows can still take on this machine, or nil where it cannot be told.
func sharedMemoryRoom() -> Int? {
  var facts = statvfs()
  guard statvfs("/dev/shm", &facts) == 0 else { return nil }
  return Int(facts.f_bavail) * Int(facts.f_frsize)
}

/// The window of ranks that live in one process: plain memory.
final class ProcessWindow: SharedWindow, @unchecked Sendable {
  let parts: [UnsafeMutableRawPointer]
  private let own: UnsafeMutableRawPointer
  private let communicator: any Communicator

  /// Collective. Addresses travel as messages: the ranks share one address space.
  init(bytes: Int, _ communicator: any Communicator) throws {
    own = .allocate(byteCount: max(bytes, 1), alignment: 4096)
    own.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    self.communicator = communicator
    parts = try communicator.allGather([UInt(bitPattern: own)]).map {
      UnsafeMutableRawPointer(bitPattern: $0[0])!
    }
  }

  func fence() throws { try communicator.barrier() }

  deinit { own.deallocate() }
}

/// A window of MPI-3 shared memory, backed by a file in /dev/shm; lives until `finalize`.
final class MPIWindow: SharedWindow, @unchecked Sendable {
  let parts: [UnsafeMutableRawPointer]
  let handle: Int32
  private let communicator: MPICommunicator

  init(bytes: Int, _ communicator: MPICommunicator) throws {
    var handle: Int32 = 0
    var addresses = [UnsafeMutableRawPointer?](repeating: nil, count: communicator.size)
    try communicator.check("shared window of \(bytes) bytes per rank") {
      lf_mpi_window_create(bytes, &handle, &addresses)
    }
    self.handle = handle
    self.communicator = communicator
    parts = addresses.map { $0! }
    // Takes the pages now: a full /dev/shm shows here, not in the middle of a step.
    parts[communicator.rank].initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    try fence()
  }

  func fence() throws {
    try communicator.check("window sync") { lf_mpi_window_sync(handle) }
    try communicator.barrier()
    try communicator.check("window sync") { lf_mpi_window_sync(handle) }
  }
}
