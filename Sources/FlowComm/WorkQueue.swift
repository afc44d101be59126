import Diagnostics
import Foundation

/// Work items handed out on demand: whoever is free takes the next index. Rank 0 hands out and
/// works too; results come back to it.
///
/// Which rank computes an item is a matter of speed, so an item's result must not depend on it.
public struct WorkQueue {
  private let communicator: any Communicator

  public init(_ communicator: any Communicator) { self.communicator = communicator }

  /// Collective: computes items 0 ..< `count`, each once, on some rank.
  ///
  /// If `compute` or `deliver` throws on any rank, no further item is handed out, and all ranks
  /// throw the same error once the items under way are done.
  ///
  /// - Parameters:
  ///   - count: the same on all ranks.
  ///   - compute: an item's result as bytes; must not communicate.
  ///   - deliver: called on rank 0 alone, on the calling thread, in order of completion.
  public func run(
    count: Int, compute: (Int) throws -> [UInt8], deliver: (Int, [UInt8]) throws -> Void
  ) throws {
    var failure: UserError?
    if communicator.rank == 0 {
      failure = try coordinate(count, compute, deliver)
    } else {
      try serve(compute)
    }
    if let error = try communicator.agree(error: failure) { throw error }
  }

  /// A worker: asks, computes, answers, until told that there is no more.
  private func serve(_ compute: (Int) throws -> [UInt8]) throws {
    var request = Request.ready
    while true {
      try communicator.send(request.packed, to: 0, tag: MessageTag.workRequest)
      // A probe first: it naps, where a blocking receive would spin through rank 0's item.
      _ = try communicator.probe(from: 0, tag: MessageTag.workReply, timeout: nil)
      let reply = try communicator.receive(from: 0, tag: MessageTag.workReply)
      let index = Int(unpack(reply, as: Int64.self)[0])
      if index < 0 { return }
      do {
        request = .finished(index, try compute(index))
      } catch {
        request = .failed(UserError(wrapping: error, on: communicator.rank))
      }
    }
  }

  /// Rank 0. With threads, one of its own answers the workers while an item is computed here;
  /// without, they are answered between items.
  private func coordinate(
    _ count: Int, _ compute: (Int) throws -> [UInt8], _ deliver: (Int, [UInt8]) throws -> Void
  ) throws -> UserError? {
    let desk = WorkDesk(count: count, communicator)
    if communicator.allowsThreads && communicator.size > 1 {
      let thread = Thread {
        while desk.answer(timeout: nil) {}
      }
      thread.name = "work queue"
      thread.start()
    }
    func deliverAll(_ results: [(Int, [UInt8])]) {
      for (index, bytes) in results where !desk.isStopped {
        desk.attempt { try deliver(index, bytes) }
      }
    }
    while let index = desk.next() {
      desk.attempt { try deliver(index, try compute(index)) }
      if !communicator.allowsThreads { while desk.answer(timeout: 0) {} }
      deliverAll(desk.takeResults(waiting: false))
    }
    if !communicator.allowsThreads { while desk.answer(timeout: nil) {} }
    while true {
      let results = desk.takeResults(waiting: true)
      if results.isEmpty { break }
      deliverAll(results)
    }
    if let fault = desk.fault { throw fault }
    return desk.failure
  }
}

/// What a worker says when it asks for work.
private enum Request {
  case ready
  case finished(Int, [UInt8])
  case failed(UserError)

  var packed: [UInt8] {
    switch self {
    case .ready: [0]
    case .finished(let index, let bytes): [1] + pack([Int64(index)]) + bytes
    case .failed(let error): [2] + error.packed
    }
  }

  init(packed bytes: [UInt8]) {
    let body = Array(bytes.dropFirst())
    switch bytes[0] {
    case 0: self = .ready
    case 1:
      self = .finished(
        Int(unpack(Array(body.prefix(8)), as: Int64.self)[0]), Array(body.dropFirst(8)))
    default: self = .failed(UserError(packed: body))
    }
  }
}

/// Rank 0's side of the queue, shared by its computing and its answering thread.
private final class WorkDesk: @unchecked Sendable {
  private let condition = NSCondition()
  private let communicator: any Communicator
  private let count: Int
  private var upcoming = 0
  private var workers: Int
  private var results: [(Int, [UInt8])] = []
  private var firstFailure: UserError?
  private var connectionFault: (any Error)?

  init(count: Int, _ communicator: any Communicator) {
    self.count = count
    self.communicator = communicator
    workers = communicator.size - 1
  }

  /// The error that stopped the queue.
  var failure: UserError? { condition.withLock { firstFailure } }
  /// An error of the connection itself: the other ranks cannot be told in good order.
  var fault: (any Error)? { condition.withLock { connectionFault } }
  var isStopped: Bool { condition.withLock { firstFailure != nil || connectionFault != nil } }

  /// The next item, nil when there is none or the queue has stopped.
  func next() -> Int? {
    condition.withLock {
      guard firstFailure == nil, connectionFault == nil, upcoming < count else { return nil }
      defer { upcoming += 1 }
      return upcoming
    }
  }

  func attempt(_ body: () throws -> Void) {
    do { try body() } catch { stop(UserError(wrapping: error, on: communicator.rank)) }
  }

  /// Results that have come; `waiting` for some unless all workers are gone.
  func takeResults(waiting: Bool) -> [(Int, [UInt8])] {
    condition.withLock {
      while waiting && results.isEmpty && workers > 0 && connectionFault == nil {
        condition.wait()
      }
      defer { results.removeAll() }
      return results
    }
  }

  /// Answers one worker's request. False when none came in time or all workers are gone.
  func answer(timeout: Double?) -> Bool {
    guard condition.withLock({ workers > 0 && connectionFault == nil }) else { return false }
    do {
      guard let message = try communicator.receiveAny(tag: MessageTag.workRequest, timeout: timeout)
      else { return false }
      switch Request(packed: message.bytes) {
      case .ready: break
      case .failed(let error): stop(error)
      case .finished(let index, let bytes):
        condition.withLock {
          results.append((index, bytes))
          condition.broadcast()
        }
      }
      let item = next()
      try communicator.send(
        pack([Int64(item ?? -1)]), to: message.source, tag: MessageTag.workReply)
      if item == nil { dismiss() }
      return true
    } catch {
      condition.withLock {
        connectionFault = error
        condition.broadcast()
      }
      return false
    }
  }

  private func stop(_ error: UserError) {
    condition.withLock { firstFailure = firstFailure ?? error }
  }

  private func dismiss() {
    condition.withLock {
      workers -= 1
      condition.broadcast()
    }
  }
}
