import Foundation

/// Reduces gradient buckets while backward still computes: one thread, blocking calls (a blocking
/// exchange on a thread overlaps best; MPI's non-blocking ones do not progress by themselves),
/// no OpenMP.
final class ReductionThread: @unchecked Sendable {
  private let condition = NSCondition()
  private let work: (Range<Int>) throws -> Void
  private var queue: [[Range<Int>]] = []
  private var busy = false
  private var ended = false
  private var error: (any Error)?

  /// - Parameter work: called on the thread for each range, in order of `submit`.
  init(_ work: @escaping (Range<Int>) throws -> Void) {
    self.work = work
    let thread = Thread { [self] in loop() }
    thread.name = "gradient reduction"
    thread.start()
  }

  func submit(_ bucket: [Range<Int>]) {
    condition.withLock {
      queue.append(bucket)
      condition.broadcast()
    }
  }

  /// Waits until all that was submitted is done; throws the first error since the last call.
  func drain() throws {
    let failed: (any Error)? = condition.withLock {
      while busy || !queue.isEmpty { condition.wait() }
      defer { error = nil }
      return error
    }
    if let failed { throw failed }
  }

  /// Lets the thread leave; it keeps itself alive until then.
  func end() {
    condition.withLock {
      ended = true
      condition.broadcast()
    }
  }

  private func loop() {
    while let bucket = next() {
      do {
        for range in bucket { try work(range) }
        condition.withLock {
          busy = false
          condition.broadcast()
        }
      } catch {
        condition.withLock {
          self.error = self.error ?? error
          queue.removeAll()
          busy = false
          condition.broadcast()
        }
      }
    }
  }

  private func next() -> [Range<Int>]? {
    condition.withLock {
      while queue.isEmpty && !ended { condition.wait() }
      guard !queue.isEmpty else { return nil }
      busy = true
      return queue.removeFirst()
    }
  }
}

/// Gathers finished arena ranges into buckets worth a message, and knows what was never finished.
struct BucketBuilder {
  /// Floats per bucket, 4 MiB.
  static let size = 1 << 20

  private var pending: [Range<Int>] = []
  private var pendingCount = 0
  private var done: [Range<Int>] = []

  /// A full bucket, or nil while it fills.
  mutating func add(_ range: Range<Int>) -> [Range<Int>]? {
    guard !range.isEmpty else { return nil }
    pending.append(range)
    pendingCount += range.count
    return pendingCount >= BucketBuilder.size ? flush() : nil
  }

  /// What of `0..<count` no bucket has carried, finished or not; empties the builder.
  mutating func rest(of count: Int) -> [Range<Int>] {
    var rest: [Range<Int>] = []
    var start = 0
    for range in BucketBuilder.merged(done) {
      if start < range.lowerBound { rest.append(start..<range.lowerBound) }
      start = range.upperBound
    }
    if start < count { rest.append(start..<count) }
    done.removeAll(keepingCapacity: true)
    pending.removeAll(keepingCapacity: true)
    pendingCount = 0
    return rest
  }

  private mutating func flush() -> [Range<Int>] {
    let bucket = BucketBuilder.merged(pending)
    done += bucket
    pending.removeAll(keepingCapacity: true)
    pendingCount = 0
    return bucket
  }

  /// Ascending, neighbours joined. A range finished twice is wrong use.
  private static func merged(_ ranges: [Range<Int>]) -> [Range<Int>] {
    var result: [Range<Int>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = result.last, last.upperBound >= range.lowerBound {
        precondition(last.upperBound == range.lowerBound, "\(range) overlaps \(last)")
        result[result.count - 1] = last.lowerBound..<range.upperBound
      } else {
        result.append(range)
      }
    }
    return result
  }
}
