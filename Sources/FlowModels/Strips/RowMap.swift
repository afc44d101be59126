import FlowTensor

/// A feature map of which this rank holds its own rows and a halo of its neighbours' rows.
struct RowMap {
  let height: Int
  let width: Int
  let channels: Int
  /// This rank's rows of the map.
  let rows: Range<Int>
  /// Rows −halo ..< count + halo, counted from the first own row.
  private let storage: Storage

  /// Uninitialised.
  init(height: Int, width: Int, channels: Int, _ shares: RowShares) {
    (self.height, self.width, self.channels) = (height, width, channels)
    rows = shares.rows(height: height)
    storage = Storage(
      unpooledCount: Self.storedRows(rows.count) * width * channels)
  }

  static func storedRows(_ own: Int) -> Int { own + 2 * RowShares.halo }

  private var rowCount: Int { width * channels }

  /// Rows `range`, own ones or of the halo, [1, n, W, C]; shares memory.
  func view(_ range: Range<Int>) -> Tensor {
    Tensor(
      storage: storage,
      offset: (range.lowerBound - rows.lowerBound + RowShares.halo) * rowCount,
      shape: [1, range.count, width, channels])
  }

  /// What rows `range` hold, for a reader that may be this map's own next stage.
  var source: RowSource {
    RowSource(height: height, width: width, channels: channels, isStored: true) { view($0) }
  }

  /// Moves all own rows `distance` rows down.
  func shift(down distance: Int) {
    guard distance > 0, !rows.isEmpty else { return }
    let first = storage.base + RowShares.halo * rowCount
    first.update(from: first - distance * rowCount, count: rows.count * rowCount)
  }

  /// Brings the halo up to date with the neighbours' rows. Collective.
  func exchangeHalo(_ shares: RowShares) throws {
    let me = shares.ranks.rank
    try shares.ranks.withEachPeer { peer in
      let theirs = shares.rows(of: peer, height: height)
      let sent = rows.clamped(to: shares.rowsAndHalo(of: peer, height: height))
      let received = theirs.clamped(to: shares.rowsAndHalo(of: me, height: height))
      return (UnsafeRawBufferPointer(bytes(sent)), bytes(received))
    }
  }

  private func bytes(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
    guard !range.isEmpty else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
    let view = view(range)
    return UnsafeMutableRawBufferPointer(
      start: view.base, count: view.count * MemoryLayout<Float>.stride)
  }
}

/// A map that gives rows on demand: stored, or computed anew from a stored one.
struct RowSource {
  let height: Int
  let width: Int
  let channels: Int
  /// Rows are memory that the map keeps; otherwise they are the caller's to overwrite.
  let isStored: Bool
  /// Rows of this rank, or up to `RowShares.halo` beside them: [1, n, W, C].
  let rows: (Range<Int>) -> Tensor

  /// A map that every rank holds whole: [1, H, W, C].
  init(whole map: Tensor) {
    let row = map.shape[2] * map.shape[3]
    self.init(
      height: map.shape[1], width: map.shape[2], channels: map.shape[3], isStored: true
    ) { range in
      Tensor(
        storage: map.storage, offset: map.offset + range.lowerBound * row,
        shape: [1, range.count, map.shape[2], map.shape[3]])
    }
  }

  init(
    height: Int, width: Int, channels: Int, isStored: Bool,
    rows: @escaping (Range<Int>) -> Tensor
  ) {
    (self.height, self.width, self.channels) = (height, width, channels)
    (self.isStored, self.rows) = (isStored, rows)
  }
}
