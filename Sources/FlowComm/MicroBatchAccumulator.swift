import CMPI

/// Runs `body` over parts of `0..<count` that together cover it, on as many threads as it likes.
/// Sums are element-wise, so the split does not change a bit.
public typealias RangeSplitter = (_ count: Int, _ body: (Range<Int>) -> Void) -> Void

/// Adds the gradients of one rank's micro-batches in the fixed binary tree over their index:
/// ((g0 + g1) + (g2 + g3)) + … , whatever part of the tree this rank has.
///
/// A binary counter over partial sums, as in pairwise summation (Higham 1993): log2(m) buffers
/// beside the arena for m micro-batches, none for one. The arena belongs to the caller, who
/// differentiates one micro-batch into it, calls `add()`, and may then overwrite it. After the
/// last `add()` it holds the sum.
public final class MicroBatchAccumulator {
  public let arena: UnsafeMutablePointer<Float>
  public let count: Int
  /// A power of two.
  public let microBatches: Int
  /// Micro-batches added since the last sum was complete.
  public private(set) var added = 0

  private let partials: [UnsafeMutablePointer<Float>]
  private let split: RangeSplitter

  /// - Parameters:
  ///   - arena: `count` floats that outlive the accumulator.
  ///   - microBatches: of this rank per global step, a power of two.
  public init(
    arena: UnsafeMutablePointer<Float>, count: Int, microBatches: Int,
    split: @escaping RangeSplitter = { $1(0..<$0) }
  ) {
    precondition(
      microBatches > 0 && microBatches.nonzeroBitCount == 1,
      "\(microBatches) micro-batches; a power of two is needed")
    self.arena = arena
    self.count = count
    self.microBatches = microBatches
    self.split = split
    partials = (0..<microBatches.trailingZeroBitCount).map { _ in
      UnsafeMutableRawPointer.allocate(byteCount: max(1, 4 * count), alignment: 4096)
        .bindMemory(to: Float.self, capacity: count)
    }
  }

  deinit {
    for partial in partials { UnsafeMutableRawPointer(partial).deallocate() }
  }

  /// The next `add()` completes the sum.
  public var isLast: Bool { added == microBatches - 1 }

  /// Takes the arena's content as the next micro-batch's gradient. Returns whether the arena now
  /// holds the sum of all; the next call then starts a new one.
  @discardableResult
  public func add() -> Bool {
    if isLast {
      split(count) { complete($0) }
      restart()
      return true
    }
    let depth = added.nonzeroBitCount
    let merges = (~added).trailingZeroBitCount
    split(count) { range in
      if merges == 0 {
        (partials[depth] + range.lowerBound).update(
          from: arena + range.lowerBound, count: range.count)
      } else {
        addInto(partials[depth - 1], arena, range)
        for level in stride(from: depth - 2, through: depth - merges, by: -1) {
          addInto(partials[level], partials[level + 1], range)
        }
      }
    }
    added += 1
    return false
  }

  /// During the last micro-batch: completes the sum over `range` in the arena, whose gradients are
  /// final. Every element once, then `restart()` instead of `add()`.
  func complete(_ range: Range<Int>) {
    precondition(isLast, "micro-batch \(added) of \(microBatches) is not the last")
    for partial in partials.reversed() { addInto(arena, partial, range) }
  }

  func restart() { added = 0 }

  private func addInto(
    _ sum: UnsafeMutablePointer<Float>, _ x: UnsafeMutablePointer<Float>, _ range: Range<Int>
  ) {
    lf_sum_into(sum + range.lowerBound, x + range.lowerBound, range.count)
  }
}
