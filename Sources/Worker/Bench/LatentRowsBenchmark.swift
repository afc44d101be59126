import Diagnostics
import FlowData
import FlowTensor

/// Rows of a cache in random order, as training takes them: micro-batches of 8, copied out.
public final class LatentRowsBenchmark {
  public static let batch = 8

  public let cache: LatentCache
  private let source: LocalRows
  private let order: [Int]
  private var step = 0

  /// Throws what opening the cache throws.
  public init(cache folder: String) throws {
    cache = try LatentCache(folder: folder)
    source = LocalRows(cache, rank: 0)
    order = permutation(of: cache.count, Philox(seed: 0, stream: .shuffle))
  }

  /// Reads the next rows of the permutation, which begins again at its end.
  public func read(microBatches: Int) throws {
    for _ in 0..<microBatches {
      let first = step * Self.batch
      _ = try source.rows(step: step) { _ in
        [[(first..<first + Self.batch).map {
          LatentRequest(index: order[$0 % order.count], flipped: false)
        }]]
      }
      step += 1
    }
  }

  public var rowsRead: Int { step * Self.batch }
}
