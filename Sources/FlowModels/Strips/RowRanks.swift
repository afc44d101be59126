import FlowTensor

/// The ranks that compute one image together, as far as a network needs to know them.
public struct RowRanks: Sendable {
  public let rank: Int
  public let count: Int
  /// Sends to and receives from `peer` at the same time; both sides know the lengths, which may
  /// differ.
  public typealias Exchange = @Sendable (
    _ sending: UnsafeRawBufferPointer, _ receiving: UnsafeMutableRawBufferPointer, _ peer: Int
  ) throws -> Void
  private let exchange: Exchange

  public init(rank: Int, count: Int, exchange: @escaping Exchange) {
    precondition(0..<count ~= rank, "rank \(rank) of \(count)")
    (self.rank, self.count, self.exchange) = (rank, count, exchange)
  }

  public static let alone = RowRanks(rank: 0, count: 1) { _, _, peer in
    preconditionFailure("a rank alone has no peer \(peer)")
  }

  /// Every rank exchanges with its peers in ascending order, so that no two wait for a third.
  func withEachPeer(
    _ message: (_ peer: Int) -> (sending: UnsafeRawBufferPointer, UnsafeMutableRawBufferPointer)
  ) throws {
    for peer in 0..<count where peer != rank {
      let (sending, receiving) = message(peer)
      if sending.isEmpty && receiving.isEmpty { continue }
      try exchange(sending, receiving, peer)
    }
  }
}

/// Which rows of the maps of an image each rank computes: equal shares of the lowest resolution's,
/// and at higher resolutions the rows that lie over them.
struct RowShares: Sendable {
  /// Rows on either side of its own that a rank may need.
  static let halo = 2

  let ranks: RowRanks
  /// Rows of the lowest resolution.
  let latentRows: Int

  /// The rows of `rank` in a map of `height` rows, a multiple of `latentRows`.
  func rows(of rank: Int, height: Int) -> Range<Int> {
    let factor = height / latentRows
    return latentRows * rank / ranks.count * factor
      ..< latentRows * (rank + 1) / ranks.count * factor
  }

  func rows(height: Int) -> Range<Int> { rows(of: ranks.rank, height: height) }

  /// The rows of the rank that has most.
  func mostRows(height: Int) -> Int {
    (0..<ranks.count).map { rows(of: $0, height: height).count }.max()!
  }

  /// The rows of `rank` and the halo on both sides, as far as the map has them.
  func rowsAndHalo(of rank: Int, height: Int) -> Range<Int> {
    rows(of: rank, height: height).widened(by: Self.halo, in: height)
  }

  /// `rows`' values of all ranks, in the order of rows; each rank brings `perRow` for every row.
  func gather(_ own: [Double], height: Int, perRow: Int) throws -> [Double] {
    precondition(own.count == rows(height: height).count * perRow, "\(own.count) values of rows")
    guard ranks.count > 1 else { return own }
    var whole = [Double](repeating: 0, count: height * perRow)
    let range = rows(height: height)
    whole.replaceSubrange(range.lowerBound * perRow..<range.upperBound * perRow, with: own)
    try whole.withUnsafeMutableBytes { bytes in
      try exchangeRows(bytes, rowBytes: perRow * MemoryLayout<Double>.stride, height: height)
    }
    return whole
  }

  /// Completes a whole map of which every rank has its own rows: [1, H, W, C].
  func complete(_ map: Tensor) throws {
    guard ranks.count > 1 else { return }
    let row = map.count / map.shape[1] * MemoryLayout<Float>.stride
    let bytes = UnsafeMutableRawBufferPointer(start: map.base, count: row * map.shape[1])
    try exchangeRows(bytes, rowBytes: row, height: map.shape[1])
    withExtendedLifetime(map) {}
  }

  private func exchangeRows(
    _ bytes: UnsafeMutableRawBufferPointer, rowBytes: Int, height: Int
  ) throws {
    func part(_ rank: Int) -> UnsafeMutableRawBufferPointer {
      let r = rows(of: rank, height: height)
      return UnsafeMutableRawBufferPointer(
        rebasing: bytes[r.lowerBound * rowBytes..<r.upperBound * rowBytes])
    }
    try ranks.withEachPeer { peer in (UnsafeRawBufferPointer(part(ranks.rank)), part(peer)) }
  }
}

extension Range<Int> {
  /// `rows` more on both sides, inside 0 ..< `height`; nothing stays nothing.
  func widened(by rows: Int, in height: Int) -> Range<Int> {
    isEmpty ? self : Swift.max(0, lowerBound - rows)..<Swift.min(height, upperBound + rows)
  }

  /// Parts of at most `size`.
  func strips(of size: Int) -> [Range<Int>] {
    stride(from: lowerBound, to: upperBound, by: size).map {
      $0..<Swift.min($0 + size, upperBound)
    }
  }
}
