import CMPI
import Diagnostics
import Foundation
import Synchronization

/// The ranks that mpirun (or srun with PMIx) started. At most one per process.
public final class MPICommunicator: Communicator {
  public let rank: Int
  public let size: Int
  public let nodeRanks: [Int]
  public let allowsThreads: Bool
  /// Windows to free before MPI ends, in the order that all ranks made them.
  private let windows = Mutex<[Int32]>([])

  /// Starts MPI. Use `Launch`, which knows when not to.
  init() throws {
    var multiple: Int32 = 0
    var rank: Int32 = 0
    var size: Int32 = 0
    try started(nil, "start") { lf_mpi_init(&multiple) }
    try started(nil, "rank") { lf_mpi_rank(&rank) }
    try started(Int(rank), "size") { lf_mpi_size(&size) }
    var neighbours = [Int32](repeating: 0, count: Int(size))
    var count: Int32 = 0
    try started(Int(rank), "ranks of this node") { lf_mpi_node_ranks(&neighbours, &count) }
    self.rank = Int(rank)
    self.size = Int(size)
    nodeRanks = neighbours.prefix(Int(count)).map(Int.init).sorted()
    allowsThreads = multiple != 0
  }

  public func send(_ bytes: UnsafeRawBufferPointer, to peer: Int, tag: Int) throws {
    try check("send of \(bytes.count) bytes to rank \(peer), tag \(tag)") {
      lf_mpi_send(bytes.baseAddress, bytes.count, Int32(peer), Int32(tag))
    }
  }

  public func receive(
    into bytes: UnsafeMutableRawBufferPointer, from peer: Int, tag: Int
  ) throws {
    try check("receive of \(bytes.count) bytes from rank \(peer), tag \(tag)") {
      lf_mpi_receive(bytes.baseAddress, bytes.count, Int32(peer), Int32(tag))
    }
  }

  public func exchange(
    sending: UnsafeRawBufferPointer, receiving: UnsafeMutableRawBufferPointer, with peer: Int,
    tag: Int
  ) throws {
    try check("exchange of \(sending.count) bytes with rank \(peer), tag \(tag)") {
      lf_mpi_exchange(
        sending.baseAddress, sending.count, receiving.baseAddress, receiving.count, Int32(peer),
        Int32(tag))
    }
  }

  /// MPI's own blocking probe burns a core that the computing threads need: this one naps.
  public func probe(from peer: Int?, tag: Int, timeout: Double?) throws -> Int? {
    let start = DispatchTime.now().uptimeNanoseconds
    var nap: UInt32 = 20  // µs
    while true {
      var source: Int32 = -1
      try check("probe of rank \(peer.map(String.init) ?? "any"), tag \(tag)") {
        lf_mpi_probe(Int32(peer ?? -1), Int32(tag), &source)
      }
      if source >= 0 { return Int(source) }
      let waited = Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9
      if let timeout, waited >= timeout { return nil }
      usleep(nap)
      nap = min(500, nap * 2)
    }
  }

  public func barrier() throws { try check("barrier") { lf_mpi_barrier() } }

  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    try check("broadcast of \(bytes.count) bytes from rank \(root)") {
      lf_mpi_broadcast(bytes.baseAddress, bytes.count, Int32(root))
    }
  }

  public func allReduce(_ values: [Int64], _ operation: IntegerReduction) throws -> [Int64] {
    var result = values
    try check("\(operation) of \(values.count) integers") {
      lf_mpi_reduce_int64(&result, values.count, operation.rawValue)
    }
    return result
  }

  public func sumInLibraryOrder(_ values: UnsafeMutableBufferPointer<Float>) throws {
    try check("sum of \(values.count) floats") {
      lf_mpi_sum_float(values.baseAddress, values.count)
    }
  }

  public func sharedWindow(bytes: Int) throws -> (any SharedWindow)? {
    let together = try allReduce([Int64(nodeRanks.count)], .min)[0]
    guard together == size else { return nil }
    let window = try MPIWindow(bytes: bytes, self)
    windows.withLock { $0.append(window.handle) }
    return window
  }

  public func abort(_ error: UserError) throws -> Never {
    printError(error, rank: rank)
    lf_mpi_abort(error.status.rawValue)
    exit(error.status.rawValue)
  }

  /// Collective. Shared windows are gone after it.
  public func finalize() throws {
    for window in windows.withLock({ $0 }) {
      try check("free of a shared window") { lf_mpi_window_free(window) }
    }
    try check("finalize") { lf_mpi_finalize() }
  }

  func check(_ operation: @autoclosure () -> String, _ call: () -> Int32) throws {
    let code = call()
    if code != 0 { throw failure(operation(), errorText(code)) }
  }
}

private func started(_ rank: Int?, _ operation: String, _ call: () -> Int32) throws {
  let code = call()
  guard code != 0 else { return }
  throw UserError(
    .io, rank.map { "rank \($0)" } ?? "MPI", at: operation, found: errorText(code),
    advice: "is the MPI that mpirun belongs to the one the program is linked with?")
}

private func errorText(_ code: Int32) -> String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { text in
    lf_mpi_error_text(code, text.baseAddress!, text.count)
    return String(cString: text.baseAddress!)
  }
}

/// One `error:` line for a person; the rank is named because it speaks alone.
func printError(_ error: UserError, rank: Int) {
  FileHandle.standardError.write(Data("error: rank \(rank): \(error)\n".utf8))
}
