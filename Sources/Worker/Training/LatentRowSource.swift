import Diagnostics
import FlowComm
import FlowData
import Foundation

/// Where a rank's rows come from. All sources give the same numbers.
public protocol LatentRowSource {
  /// Collective over all ranks: the rows of this rank's micro-batches of one step.
  ///
  /// - Parameter requests: of any step: for every rank its micro-batches of (sample index,
  ///   flipped). Asked for each step once, in order, this one's or later ones' too.
  func rows(step: Int, _ requests: (Int) -> [[[LatentRequest]]]) throws -> [LatentBatch]
}

public struct LatentRequest: Equatable, Sendable {
  public let index: Int
  public let flipped: Bool

  public init(index: Int, flipped: Bool) {
    self.index = index
    self.flipped = flipped
  }
}

/// Every rank maps the cache (`data.placement: local`).
public struct LocalRows: LatentRowSource {
  let cache: LatentCache
  let rank: Int
  let contents: RowContents

  public init(_ cache: LatentCache, rank: Int, contents: RowContents = []) {
    (self.cache, self.rank, self.contents) = (cache, rank, contents)
  }

  public func rows(
    step: Int, _ requests: (Int) -> [[[LatentRequest]]]
  ) throws -> [LatentBatch] {
    requests(step)[rank].map { LatentBatch(cache, $0, contents) }
  }
}

/// Rank 0 alone reads the cache and sends each rank its rows (`data.placement: scatter`), for ranks
/// that share no file system.
public struct ScatteredRows: LatentRowSource {
  static let tag = 0x101
  let communicator: any Communicator
  /// On rank 0 only.
  let cache: LatentCache?
  let contents: RowContents

  public init(
    _ communicator: any Communicator, cache: LatentCache?, contents: RowContents = []
  ) {
    precondition(communicator.rank > 0 || cache != nil, "rank 0 without a cache")
    (self.communicator, self.cache, self.contents) = (communicator, cache, contents)
  }

  public func rows(
    step: Int, _ requests: (Int) -> [[[LatentRequest]]]
  ) throws -> [LatentBatch] {
    let requests = requests(step)
    if let cache {
      for peer in 1..<max(1, communicator.size) {
        for micro in requests[peer] {
          let batch = LatentBatch(cache, micro, contents)
          try communicator.send(batch.packed, to: peer, tag: Self.tag)
        }
      }
      return requests[0].map { LatentBatch(cache, $0, contents) }
    }
    return try requests[communicator.rank].map {
      LatentBatch(
        packed: try communicator.receive(from: 0, tag: Self.tag), indices: $0.map(\.index))
    }
  }
}
