import Diagnostics
import Foundation

/// How `allReduce` combines integers.
public enum IntegerReduction: Int32, Sendable {
  case sum = 0
  case max = 1
  case min = 2
}

/// Tags 0 ..< `MessageTag.firstReserved` are the caller's; the rest belong to this module.
public enum MessageTag {
  public static let firstReserved = 0x7000
  static let gather = 0x7001
  static let broadcast = 0x7002
  static let barrier = 0x7003
  static let gradients = 0x7004
  static let parameters = 0x7005
  static let workRequest = 0x7006
  static let workReply = 0x7007
  static let windowAddresses = 0x7008
}

/// The ranks of one job and what they say to each other.
///
/// Messages of raw buffers carry no length: both sides know it, and zero bytes move nothing.
/// The `[UInt8]` forms carry theirs. Messages of one sender, receiver and tag keep their order.
/// Collectives are called by all ranks in the same order, from one thread per rank; with
/// `allowsThreads` further threads may send and receive on tags of their own meanwhile.
///
/// Every failure is a `UserError` with status `io` that names rank, peer and operation.
public protocol Communicator: AnyObject, Sendable {
  /// This rank, 0 ..< `size`.
  var rank: Int { get }
  var size: Int { get }
  /// The ranks that share this rank's machine, this one among them, ascending.
  var nodeRanks: [Int] { get }
  /// Several threads of this rank may communicate at once (MPI_THREAD_MULTIPLE).
  var allowsThreads: Bool { get }

  /// Blocks until `bytes` may be reused.
  func send(_ bytes: UnsafeRawBufferPointer, to peer: Int, tag: Int) throws
  /// Blocks until a message of exactly this length has come.
  func receive(into bytes: UnsafeMutableRawBufferPointer, from peer: Int, tag: Int) throws
  /// Sends to and receives from `peer` at the same time; the lengths may differ.
  func exchange(
    sending: UnsafeRawBufferPointer, receiving: UnsafeMutableRawBufferPointer, with peer: Int,
    tag: Int) throws
  /// Waits, without spinning, for a message to be there and leaves it there.
  ///
  /// - Parameters:
  ///   - peer: its sender, or nil for any.
  ///   - timeout: seconds; 0 only looks, nil waits for ever.
  /// - Returns: the sender, or nil when the time was up.
  func probe(from peer: Int?, tag: Int, timeout: Double?) throws -> Int?

  /// Returns when all ranks have called it.
  func barrier() throws
  /// `root`'s bytes to all; every rank passes a buffer of the same length.
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws
  /// Element-wise over the ranks; the same result on all.
  func allReduce(_ values: [Int64], _ operation: IntegerReduction) throws -> [Int64]
  /// Element-wise sum in place, in the library's own order of additions: its bits may depend on
  /// the number of ranks. `GradientExchange` has the sum that does not.
  func sumInLibraryOrder(_ values: UnsafeMutableBufferPointer<Float>) throws

  /// Collective: memory that all ranks see, or nil where they do not share one machine.
  /// - Parameter bytes: size of each rank's part, the same on all ranks.
  func sharedWindow(bytes: Int) throws -> (any SharedWindow)?

  /// For a rank that fails where the others cannot take part: says `error` once on standard
  /// error and ends the whole job with its status. Returns to the caller only by throwing
  /// (`ThreadCommunicator`, where the other ranks' pending calls throw too).
  func abort(_ error: UserError) throws -> Never
  /// Ends communication in good order; the last call of a rank that did not abort.
  func finalize() throws
}

/// A message of known sender.
public struct Message: Sendable {
  public let source: Int
  public let tag: Int
  public let bytes: [UInt8]
}

// MARK: - Messages that carry their length

extension Communicator {
  /// To be received with `receive(from:tag:)` or `receiveAny(tag:timeout:)`.
  public func send(_ bytes: [UInt8], to peer: Int, tag: Int) throws {
    try withUnsafeBytes(of: Int64(bytes.count).littleEndian) {
      try send($0, to: peer, tag: tag)
    }
    try bytes.withUnsafeBytes { try send($0, to: peer, tag: tag) }
  }

  public func receive(from peer: Int, tag: Int) throws -> [UInt8] {
    var length: Int64 = 0
    try withUnsafeMutableBytes(of: &length) { try receive(into: $0, from: peer, tag: tag) }
    let count = Int(Int64(littleEndian: length))
    var bytes = [UInt8](repeating: 0, count: count)
    try bytes.withUnsafeMutableBytes { try receive(into: $0, from: peer, tag: tag) }
    return bytes
  }

  /// The next message from anyone, or nil after `timeout` seconds. One thread per tag.
  public func receiveAny(tag: Int, timeout: Double? = nil) throws -> Message? {
    guard let source = try probe(from: nil, tag: tag, timeout: timeout) else { return nil }
    return Message(source: source, tag: tag, bytes: try receive(from: source, tag: tag))
  }

  /// As `receive(from:tag:)`, but an error after `timeout` seconds of silence.
  public func receive(from peer: Int, tag: Int, timeout: Double) throws -> [UInt8] {
    guard try probe(from: peer, tag: tag, timeout: timeout) != nil else {
      throw failure("receive from rank \(peer), tag \(tag)", "nothing came in \(timeout) s")
    }
    return try receive(from: peer, tag: tag)
  }

  /// An error that names this rank and the operation.
  func failure(_ operation: String, _ found: String) -> UserError {
    UserError(
      .io, "rank \(rank) of \(size)", at: operation, found: found,
      advice: "look for the first error among the ranks; a peer may have ended early")
  }
}
