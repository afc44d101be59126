import FlowData
import Foundation

/// A picture as it comes from its source, mirrored where that was asked for.
struct DecodedPicture: Sendable {
  var image: ImageBuffer
  /// Where label maps are asked for.
  var map: LabelMap?
}

/// Pictures decoded ahead on threads of their own, delivered in the order in which they were asked
/// for. The threads block all signals and run no OpenMP: the engine's threads are another team.
final class DecodingPool: @unchecked Sendable {
  private let source: any ImageSource
  private let withMaps: Bool
  private let condition = NSCondition()
  private var queue: [(ticket: Int, request: LatentRequest)] = []
  private var head = 0
  private var results: [Int: Result<DecodedPicture, any Error>] = [:]
  private var submitted = 0
  private var delivered = 0
  private var ended = false

  /// - Parameters:
  ///   - threads: at least 1.
  ///   - withMaps: every picture has a label map, which is wanted.
  init(_ source: any ImageSource, threads: Int, withMaps: Bool = false) {
    precondition(threads > 0, "\(threads) decoding threads")
    (self.source, self.withMaps) = (source, withMaps)
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
  func take() throws -> DecodedPicture {
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
      let result = Result { try picture(request) }
      condition.withLock {
        results[ticket] = result
        condition.broadcast()
      }
    }
  }

  private func picture(_ request: LatentRequest) throws -> DecodedPicture {
    let image = try source.image(request.index)
    let map = withMaps ? try source.map(request.index) : nil
    guard request.flipped else { return DecodedPicture(image: image, map: map) }
    return DecodedPicture(
      image: image.flippedHorizontally(), map: map?.flippedHorizontally())
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
