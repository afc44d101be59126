import Foundation

// Collectives built from messages: what every implementation can do, and all that the small
// ones need.
extension Communicator {
  public func barrier() throws {
    _ = try gather([], to: 0, tag: MessageTag.barrier)
    _ = try broadcastByMessages([], from: 0, tag: MessageTag.barrier)
  }

  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    guard rank == root else {
      return try receive(into: bytes, from: root, tag: MessageTag.broadcast)
    }
    for peer in 0..<size where peer != root {
      try send(UnsafeRawBufferPointer(bytes), to: peer, tag: MessageTag.broadcast)
    }
  }

  public func exchange(
    sending: UnsafeRawBufferPointer, receiving: UnsafeMutableRawBufferPointer, with peer: Int,
    tag: Int
  ) throws {
    try send(sending, to: peer, tag: tag)
    try receive(into: receiving, from: peer, tag: tag)
  }

  public func allReduce(_ values: [Int64], _ operation: IntegerReduction) throws -> [Int64] {
    let all = try allGather(values)
    precondition(all.allSatisfy { $0.count == values.count }, "\(all.map(\.count)) values")
    return values.indices.map { i in
      let column = all.map { $0[i] }
      return switch operation {
      case .sum: column.reduce(0, &+)
      case .max: column.max()!
      case .min: column.min()!
      }
    }
  }

  public func sumInLibraryOrder(_ values: UnsafeMutableBufferPointer<Float>) throws {
    let parts = try allGather(Array(values))
    for i in values.indices {
      values[i] = parts.dropFirst().reduce(parts[0][i]) { $0 + $1[i] }
    }
  }

  private func broadcastByMessages(_ bytes: [UInt8], from root: Int, tag: Int) throws -> [UInt8] {
    guard rank == root else { return try receive(from: root, tag: tag) }
    for peer in 0..<size where peer != root { try send(bytes, to: peer, tag: tag) }
    return bytes
  }
}

extension Communicator {
  /// `root`'s bytes on every rank; what the others pass does not matter.
  public func broadcast(_ bytes: [UInt8], from root: Int) throws -> [UInt8] {
    var length = Int64(bytes.count)
    try withUnsafeMutableBytes(of: &length) { try broadcast($0, from: root) }
    var result = rank == root ? bytes : [UInt8](repeating: 0, count: Int(length))
    try result.withUnsafeMutableBytes { try broadcast($0, from: root) }
    return result
  }

  /// `root`'s bytes on every rank; what the others pass does not matter.
  public func broadcast(_ data: Data, from root: Int) throws -> Data {
    Data(try broadcast([UInt8](data), from: root))
  }

  /// Every rank's bytes in rank order on `root`, nil elsewhere. Lengths may differ.
  public func gather(_ bytes: [UInt8], to root: Int) throws -> [[UInt8]]? {
    try gather(bytes, to: root, tag: MessageTag.gather)
  }

  func gather(_ bytes: [UInt8], to root: Int, tag: Int) throws -> [[UInt8]]? {
    guard rank == root else {
      try send(bytes, to: root, tag: tag)
      return nil
    }
    return try (0..<size).map { try $0 == root ? bytes : receive(from: $0, tag: tag) }
  }

  /// Every rank's bytes in rank order, on every rank. Lengths may differ.
  public func allGather(_ bytes: [UInt8]) throws -> [[UInt8]] {
    let gathered = try gather(bytes, to: 0)
    let lengths = try broadcast(pack((gathered ?? []).map { Int64($0.count) }), from: 0)
    let joined = try broadcast((gathered ?? []).flatMap { $0 }, from: 0)
    var start = 0
    return unpack(lengths, as: Int64.self).map { length in
      defer { start += Int(length) }
      return Array(joined[start..<start + Int(length)])
    }
  }

  /// Every rank's values in rank order, on every rank. Lengths may differ.
  public func allGather<Element: BitwiseCopyable>(_ values: [Element]) throws -> [[Element]] {
    guard size > 1 else { return [values] }
    return try allGather(pack(values)).map { unpack($0, as: Element.self) }
  }

  /// Element-wise sum, added in rank order: equal bits on all ranks and at every call.
  public func allReduceSum(_ values: [Double]) throws -> [Double] {
    let all = try allGather(values)
    precondition(all.allSatisfy { $0.count == values.count }, "\(all.map(\.count)) values")
    return values.indices.map { i in all.dropFirst().reduce(all[0][i]) { $0 + $1[i] } }
  }

  /// The sum of per-chunk sums over the whole arena in chunk order, on every rank: the same bits
  /// whatever the number of ranks. Collective.
  ///
  /// - Parameter localChunkSums: one value per 65,536-element chunk of this rank's shard.
  public func orderedSum(_ localChunkSums: [Double], layout: ShardLayout) throws -> Double {
    precondition(
      localChunkSums.count == layout.chunks(of: rank).count,
      "\(localChunkSums.count) chunk sums, shard of \(layout.chunks(of: rank).count) chunks")
    return try allGather(localChunkSums).reduce(0.0) { $1.reduce($0, +) }
  }
}

/// The bytes of plain values in this machine's order; all ranks of a job run the same binary.
func pack<Element: BitwiseCopyable>(_ values: [Element]) -> [UInt8] {
  values.withUnsafeBytes { Array($0) }
}

func unpack<Element: BitwiseCopyable>(_ bytes: [UInt8], as: Element.Type) -> [Element] {
  let stride = MemoryLayout<Element>.stride
  precondition(bytes.count % stride == 0, "\(bytes.count) bytes for elements of \(stride)")
  return bytes.withUnsafeBytes { raw in
    (0..<bytes.count / stride).map {
      raw.loadUnaligned(fromByteOffset: $0 * stride, as: Element.self)
    }
  }
}
