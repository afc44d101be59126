import Diagnostics
import Foundation

/// Ranks that are threads of one process: for tests, and for nothing else.
public final class ThreadCommunicator: Communicator {
  public let rank: Int
  public let size: Int
  public let allowsThreads = true
  public var nodeRanks: [Int] { Array(0..<size) }
  private let post: PostOffice

  private init(rank: Int, size: Int, _ post: PostOffice) {
    self.rank = rank
    self.size = size
    self.post = post
  }

  /// Runs `body` as `ranks` ranks and returns their results in rank order. If one throws, pending
  /// calls of the others throw too, and the first error is thrown here.
  public static func run<Result: Sendable>(
    ranks: Int, _ body: @escaping @Sendable (any Communicator) throws -> Result
  ) throws -> [Result] {
    let post = PostOffice(ranks: ranks)
    let results = Results<Result>(ranks)
    for rank in 0..<ranks {
      let thread = Thread {
        let communicator = ThreadCommunicator(rank: rank, size: ranks, post)
        let outcome = Swift.Result { try body(communicator) }
        if case .failure(let error) = outcome {
          post.close(UserError(wrapping: error, on: rank))
        }
        results.put(outcome, at: rank)
      }
      thread.stackSize = 8 << 20
      thread.start()
    }
    let outcomes = results.wait()
    if let error = post.closed { throw error }
    return try outcomes.map { try $0.get() }
  }

  public func send(_ bytes: UnsafeRawBufferPointer, to peer: Int, tag: Int) throws {
    precondition(peer != rank && 0..<size ~= peer, "rank \(rank) sends to rank \(peer) of \(size)")
    guard bytes.count > 0 else { return }
    try post.deliver(Message(source: rank, tag: tag, bytes: Array(bytes)), to: peer)
  }

  public func receive(
    into bytes: UnsafeMutableRawBufferPointer, from peer: Int, tag: Int
  ) throws {
    guard bytes.count > 0 else { return }
    let message = try post.take(by: rank, from: peer, tag: tag)
    guard message.bytes.count == bytes.count else {
      throw failure(
        "receive of \(bytes.count) bytes from rank \(peer), tag \(tag)",
        "a message of \(message.bytes.count) bytes")
    }
    bytes.copyBytes(from: message.bytes)
  }

  public func probe(from peer: Int?, tag: Int, timeout: Double?) throws -> Int? {
    let deadline = timeout.map { Date(timeIntervalSinceNow: $0) }
    return try post.look(by: rank, from: peer, tag: tag, until: deadline)
  }

  public func sharedWindow(bytes: Int) throws -> (any SharedWindow)? {
    try ProcessWindow(bytes: bytes, self)
  }

  /// The ranks share the process, so it goes on: the others' pending calls throw `error`.
  public func abort(_ error: UserError) throws -> Never {
    post.close(error)
    throw error
  }

  public func finalize() throws {}
}

/// Messages under way, in order of sending, one list per receiver.
private final class PostOffice: @unchecked Sendable {
  private let condition = NSCondition()
  private var boxes: [[Message]]
  private var reason: UserError?

  init(ranks: Int) { boxes = Array(repeating: [], count: ranks) }

  var closed: UserError? { condition.withLock { reason } }

  /// Ends all pending and coming calls with `error`; the first reason stays.
  func close(_ error: UserError) {
    condition.withLock {
      reason = reason ?? error
      condition.broadcast()
    }
  }

  func deliver(_ message: Message, to rank: Int) throws {
    try condition.withLock {
      if let reason { throw reason }
      boxes[rank].append(message)
      condition.broadcast()
    }
  }

  func take(by rank: Int, from peer: Int, tag: Int) throws -> Message {
    try condition.withLock {
      while true {
        if let i = try find(rank, peer, tag) { return boxes[rank].remove(at: i) }
        condition.wait()
      }
    }
  }

  /// - Parameter deadline: nil is never; `Date.distantFuture` overflows Foundation's wait.
  func look(by rank: Int, from peer: Int?, tag: Int, until deadline: Date?) throws -> Int? {
    try condition.withLock {
      while true {
        if let i = try find(rank, peer, tag) { return boxes[rank][i].source }
        guard let deadline else {
          condition.wait()
          continue
        }
        if !condition.wait(until: deadline) {
          return try find(rank, peer, tag).map { boxes[rank][$0].source }
        }
      }
    }
  }

  private func find(_ rank: Int, _ peer: Int?, _ tag: Int) throws -> Int? {
    if let reason { throw reason }
    return boxes[rank].firstIndex { $0.tag == tag && (peer == nil || $0.source == peer) }
  }
}

/// Collects one outcome per thread.
private final class Results<Value: Sendable>: @unchecked Sendable {
  private let condition = NSCondition()
  private var outcomes: [Result<Value, any Error>?]

  init(_ count: Int) { outcomes = Array(repeating: nil, count: count) }

  func put(_ outcome: Result<Value, any Error>, at index: Int) {
    condition.withLock {
      outcomes[index] = outcome
      condition.signal()
    }
  }

  func wait() -> [Result<Value, any Error>] {
    condition.withLock {
      while outcomes.contains(where: { $0 == nil }) { condition.wait() }
      return outcomes.compactMap { $0 }
    }
  }
}
