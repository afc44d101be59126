import Diagnostics
import FlowComm
import FlowData
import Foundation

/// Rows of a latent cache, copied: what one micro-batch needs of the data.
public struct LatentBatch {
  public let indices: [Int]
  /// [b, H, W, C] flattened, unscaled.
  public var mean: [Float]
  /// Of the same shape; nil without a posterior (pixels).
  public var logvar: [Float]?
  public var labels: [Int]?
}

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

  public init(_ cache: LatentCache, rank: Int) {
    self.cache = cache
    self.rank = rank
  }

  public func rows(
    step: Int, _ requests: (Int) -> [[[LatentRequest]]]
  ) throws -> [LatentBatch] {
    requests(step)[rank].map { read(cache, $0) }
  }
}

/// Rank 0 alone reads the cache and sends each rank its rows (`data.placement: scatter`), for ranks
/// that share no file system.
public struct ScatteredRows: LatentRowSource {
  static let tag = 0x101
  let communicator: any Communicator
  /// On rank 0 only.
  let cache: LatentCache?
  let elements: Int
  let hasLogvar: Bool
  let hasLabels: Bool

  public init(_ communicator: any Communicator, cache: LatentCache?) throws {
    self.communicator = communicator
    self.cache = cache
    let own = cache.map {
      [
        Int64($0.index.description.rowCount), $0.index.description.hasLogvar ? 1 : 0,
        $0.index.description.hasLabels ? 1 : 0,
      ]
    }
    let facts = try communicator.allReduce(own ?? [0, 0, 0], .max)
    (elements, hasLogvar, hasLabels) = (Int(facts[0]), facts[1] == 1, facts[2] == 1)
  }

  public func rows(
    step: Int, _ requests: (Int) -> [[[LatentRequest]]]
  ) throws -> [LatentBatch] {
    let requests = requests(step)
    if communicator.rank == 0 {
      for peer in 1..<max(1, communicator.size) {
        for micro in requests[peer] {
          try communicator.send(pack(read(cache!, micro)), to: peer, tag: Self.tag)
        }
      }
      return requests[0].map { read(cache!, $0) }
    }
    return try requests[communicator.rank].map {
      unpack(try communicator.receive(from: 0, tag: Self.tag), indices: $0.map(\.index))
    }
  }

  private func pack(_ batch: LatentBatch) -> [UInt8] {
    var bytes = batch.mean.withUnsafeBytes { Array($0) }
    if let logvar = batch.logvar { bytes += logvar.withUnsafeBytes { Array($0) } }
    if let labels = batch.labels { bytes += labels.withUnsafeBytes { Array($0) } }
    return bytes
  }

  private func unpack(_ bytes: [UInt8], indices: [Int]) -> LatentBatch {
    let count = indices.count * elements
    var offset = 0
    func take<Element>(_ count: Int, _ zero: Element) -> [Element] {
      defer { offset += count * MemoryLayout<Element>.stride }
      return [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
        let size = count * MemoryLayout<Element>.stride
        UnsafeMutableRawBufferPointer(buffer).copyBytes(from: bytes[offset..<offset + size])
        initialized = count
      }
    }
    return LatentBatch(
      indices: indices, mean: take(count, Float(0)),
      logvar: hasLogvar ? take(count, Float(0)) : nil,
      labels: hasLabels ? take(indices.count, 0) : nil)
  }
}

private func read(_ cache: LatentCache, _ requests: [LatentRequest]) -> LatentBatch {
  let d = cache.index.description
  let n = d.rowCount
  var batch = LatentBatch(
    indices: requests.map(\.index), mean: [Float](repeating: 0, count: requests.count * n),
    logvar: d.hasLogvar ? [Float](repeating: 0, count: requests.count * n) : nil,
    labels: d.hasLabels ? [] : nil)
  for request in requests { cache.willNeed(request.index, flipped: request.flipped) }
  for (i, request) in requests.enumerated() {
    let row = cache.row(request.index, flipped: request.flipped)
    batch.mean.replaceSubrange(
      i * n..<(i + 1) * n, with: UnsafeBufferPointer(start: row.mean, count: n))
    if let logvar = row.logvar {
      batch.logvar!.replaceSubrange(
        i * n..<(i + 1) * n, with: UnsafeBufferPointer(start: logvar, count: n))
    }
    if let label = row.label { batch.labels!.append(label) }
  }
  return batch
}
