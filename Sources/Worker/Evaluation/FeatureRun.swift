import Diagnostics
import FlowComm
import FlowData
import FlowMetrics
import FlowTensor

/// What an evaluation keeps of one sample, as a row of a `RowFile`: evaluations of the field and
/// label as Int32, then D features as Float.
public struct FeatureRow {
  public static func bytes(dimension: Int) -> Int { 8 + 4 * dimension }

  /// Features of rows, [n][D], and the evaluations of each.
  public static func unpack(
    _ bytes: [UInt8], dimension: Int
  ) -> (features: [Float], evaluations: [Int]) {
    let stride = Self.bytes(dimension: dimension)
    let count = bytes.count / stride
    var evaluations = [Int](repeating: 0, count: count)
    let features = [Float](unsafeUninitializedCapacity: count * dimension) { buffer, filled in
      bytes.withUnsafeBytes { raw in
        for i in 0..<count {
          evaluations[i] = Int(raw.loadUnaligned(fromByteOffset: i * stride, as: Int32.self))
          let from = raw[i * stride + 8..<(i + 1) * stride]
          let row = buffer[i * dimension..<(i + 1) * dimension]
          UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: row))
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: from))
        }
      }
      filled = count * dimension
    }
    return (features, evaluations)
  }
}

/// The pictures of one work item: always a full batch, so that a picture's features have the same
/// bits however many are asked for.
public struct PictureItem {
  public var pictures: [ImageBuffer]
  public var labels: [Int]?
  /// Evaluations of the velocity field; nil for pictures that were not drawn.
  public var evaluations: [Int]?

  public init(_ pictures: [ImageBuffer], labels: [Int]? = nil, evaluations: [Int]? = nil) {
    (self.pictures, self.labels, self.evaluations) = (pictures, labels, evaluations)
  }
}

extension PatchCrops {
  /// The crops of picture `index`.
  public func crops(of picture: ImageBuffer, index: Int) -> [ImageBuffer] {
    (0..<perImage).map { crop in
      let (row, column) = origin(
        index: index, crop: crop, height: picture.height, width: picture.width)
      return picture.cropped(x: column, y: row, width: size, height: size)
    }
  }
}

/// Pictures → features, over the ranks of a job. With crops every picture gives as many rows, one
/// after another.
public struct FeatureRun {
  public struct Progress {
    public var done: Int
    public var total: Int
    /// Pictures that each rank has finished since the run began.
    public var byRank: [Int]
  }

  let extractor: FeatureExtractor
  let patches: PatchCrops?
  let item: (Int) throws -> PictureItem

  /// - Parameters:
  ///   - patches: features are of these crops rather than of whole pictures.
  ///   - item: makes the pictures of item k; the same whichever rank calls it.
  public init(
    _ extractor: FeatureExtractor, patches: PatchCrops? = nil,
    item: @escaping (Int) throws -> PictureItem
  ) {
    (self.extractor, self.patches, self.item) = (extractor, patches, item)
  }

  /// Samples of a network.
  public init(
    _ extractor: FeatureExtractor, patches: PatchCrops? = nil, _ sampler: Sampler,
    _ pixels: PixelPipeline
  ) {
    self.init(extractor, patches: patches) { k in
      let sampled = try sampler(item: k)
      return PictureItem(
        try pixels(sampled.images), labels: sampled.labels, evaluations: sampled.evaluations)
    }
  }

  /// Pictures of a data set, never flipped.
  public init(
    _ extractor: FeatureExtractor, patches: PatchCrops? = nil, _ source: any ImageSource,
    itemSize: Int
  ) {
    self.init(extractor, patches: patches) { k in
      let first = k * itemSize
      let found = try (first..<min(first + itemSize, source.count)).map { try source.image($0) }
      return PictureItem(found + Array(repeating: found[0], count: itemSize - found.count))
    }
  }

  private var rowsPerPicture: Int { patches?.perImage ?? 1 }

  /// Collective: computes items. A slow rank just gets fewer of them.
  ///
  /// - Parameters:
  ///   - rows: on rank 0; nil elsewhere.
  ///   - items: on rank 0, those to compute; nil: those that `rows` lacks.
  ///   - sending: the same on all ranks: indices of the pictures that `picture` gets if they are
  ///     new.
  ///   - picture: on rank 0, with the picture's index, before the item counts as done.
  ///   - progress: on rank 0, after each item.
  public func run(
    into rows: RowFile?, items: [Int]? = nil, _ communicator: any Communicator,
    sending: Range<Int> = 0..<0, picture: ((Int, ImageBuffer) throws -> Void)? = nil,
    progress: (Progress) -> Void
  ) throws {
    let lists = try communicator.allGather(
      rows.map { (items ?? $0.remaining).map(Int64.init) } ?? [])
    let facts = try communicator.allReduce(
      [Int64(rows?.count ?? 0), Int64(rows?.itemRows ?? 0)], .max)
    let (total, itemRows) = (Int(facts[0]), Int(facts[1]))
    let remaining = lists[0].map(Int.init)
    func wanted(_ k: Int) -> Int { min(itemRows, total - remaining[k] * itemRows) }
    func sent(_ k: Int) -> Range<Int> {
      let first = remaining[k] * itemRows / rowsPerPicture
      return (first..<first + wanted(k) / rowsPerPicture).clamped(to: sending)
    }
    let missing = remaining.indices.reduce(0) { $0 + wanted($1) }
    var report = Progress(
      done: (total - missing) / rowsPerPicture, total: total / rowsPerPicture,
      byRank: [Int](repeating: 0, count: communicator.size))
    let rank = communicator.rank
    try WorkQueue(communicator).run(count: remaining.count) { k in
      try withUnsafeBytes(of: Int64(rank)) { Array($0) }
        + pack(remaining[k], count: wanted(k), pictures: sent(k))
    } deliver: { k, bytes in
      let sender = Int(bytes.withUnsafeBytes { $0.loadUnaligned(as: Int64.self) })
      try keep(
        Array(bytes.dropFirst(8)), item: remaining[k], count: wanted(k), in: rows!, sent(k),
        picture)
      report.done += wanted(k) / rowsPerPicture
      report.byRank[sender] += wanted(k) / rowsPerPicture
      progress(report)
    }
  }

  /// Rows of an item and behind them the pixels of those of its pictures that are to be sent.
  private func pack(_ k: Int, count: Int, pictures: Range<Int>) throws -> [UInt8] {
    let made = try item(k)
    let views =
      patches.map { patches in
        let first = k * made.pictures.count
        return made.pictures.enumerated().flatMap { patches.crops(of: $1, index: first + $0) }
      } ?? made.pictures
    let features = extractor.features(views)  // [itemRows, D]
    let d = features.shape[1]
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count * FeatureRow.bytes(dimension: d))
    for row in 0..<count {
      let i = row / rowsPerPicture
      withUnsafeBytes(of: Int32(made.evaluations?[i] ?? 0)) { bytes += $0 }
      withUnsafeBytes(of: Int32(made.labels?[i] ?? -1)) { bytes += $0 }
      bytes += UnsafeRawBufferPointer(start: features.base + row * d, count: 4 * d)
    }
    withExtendedLifetime(features) {}
    guard !pictures.isEmpty else { return bytes }
    let first = k * made.pictures.count
    withUnsafeBytes(of: Int32(made.pictures[0].width)) { bytes += $0 }
    withUnsafeBytes(of: Int32(made.pictures[0].height)) { bytes += $0 }
    for index in pictures { bytes += made.pictures[index - first].pixels }
    return bytes
  }

  private func keep(
    _ bytes: [UInt8], item k: Int, count: Int, in rows: RowFile, _ sent: Range<Int>,
    _ picture: ((Int, ImageBuffer) throws -> Void)?
  ) throws {
    let end = count * rows.rowBytes
    if let picture, !sent.isEmpty {
      func extent(_ at: Int) -> Int {
        Int(bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: Int32.self) })
      }
      let (width, height) = (extent(end), extent(end + 4))
      let size = width * height * 3
      for (i, index) in sent.enumerated() {
        let start = end + 8 + i * size
        try picture(
          index,
          ImageBuffer(width: width, height: height, pixels: Array(bytes[start..<start + size])))
      }
    }
    try rows.write(item: k, Array(bytes.prefix(end)))
  }
}
