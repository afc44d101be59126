import FlowData
import Foundation

/// Pictures decoded ahead on threads of their own, delivered in the order in which they were asked
/// for. The threads block all signals and run no OpenMP: the engine's threads are another team.
final class DecodingPool: @unchecked Sendable {
  private let source: any ImageSource
  private let condition = NSCondition()
  private var queue: [(ticket: Int, request: LatentRequest)] = []
  private var head = 0
  private var results: [Int: Result<ImageBuffer, any Error>] = [:]
  private var submitted = 0
  private var delivered = 0
  private var ended = false

  /// - Parameter threads: at least 1.
  init(_ source: any ImageSource, threads: Int) {
    precondition(threads > 0, "\(threads) decoding threads")
    self.source = source
    for i in 0..<threads {
      let thread = Thread { [self] in
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        work()
      }
      thread.name = "decoding \(i)"
      thread.start()
    }
  }

  /// Pictures asked for and not yet taken.
  var pending: Int { condition.withLock { submitted - delivered } }

  func submit(_ request: LatentRequest) {
    condition.withLock {
      queue.append((submitted, request))
      submitted += 1
      condition.broadcast()
    }
  }

  /// The next picture in order; throws what its decoding threw.
  func take() throws -> ImageBuffer {
    let result = condition.withLock {
      precondition(delivered < submitted, "picture \(delivered) was not asked for")
      while results[delivered] == nil { condition.wait() }
      defer { delivered += 1 }
      return results.removeValue(forKey: delivered)!
    }
    return try result.get()
  }

  /// Lets the threads leave; they keep this object alive until then.
  func end() {
    condition.withLock {
      ended = true
      condition.broadcast()
    }
  }

  private func work() {
    while let (ticket, request) = next() {
      let result = Result<ImageBuffer, any Error> {
        let image = try source.image(request.index)
        return request.flipped ? image.flippedHorizontally() : image
      }
      condition.withLock {
        results[ticket] = result
        condition.broadcast()
      }
    }
  }

  private func next() -> (Int, LatentRequest)? {
    condition.withLock {
      while head == queue.count && !ended { condition.wait() }
      guard !ended else { return nil }
      defer {
        head += 1
        if head == queue.count { (queue, head) = ([], 0) }
      }
      return queue[head]
    }
  }
}
