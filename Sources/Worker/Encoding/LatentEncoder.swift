import Diagnostics
import FlowComm
import FlowData
import FlowTensor

/// Turns images into a latent cache over all ranks; shards that a run before has finished are kept.
public struct LatentEncoder {
  let firstStage: FirstStage
  let source: any ImageSource
  let writer: LatentCacheWriter
  /// The cache's label for each label of the source; nil where they are the same.
  let labels: [Int]?

  public init(
    _ firstStage: FirstStage, _ source: any ImageSource, writer: LatentCacheWriter,
    labels: [Int]? = nil
  ) {
    (self.firstStage, self.source, self.writer, self.labels) = (firstStage, source, writer, labels)
  }

  /// Collective.
  ///
  /// - Parameter progress: on rank 0, after each shard, with the rows done.
  public func run(_ communicator: any Communicator, progress: (Int) -> Void) throws {
    let count = writer.description.shards.count
    var done = 0
    try WorkQueue(communicator).run(count: count) { shard in
      if !writer.isDone(shard) { try encode(shard) }
      return []
    } deliver: { shard, _ in
      done += writer.rows(shard).count
      progress(done)
    }
  }

  private func encode(_ shard: Int) throws {
    let d = writer.description
    let rows = writer.rows(shard)
    let full = MomentBuffers(rows.count, d.rowCount, d)
    let low = d.lowResolution.map { MomentBuffers(rows.count, $0.rowCount, d) }
    var masks: [UInt8] = []
    for first in stride(from: rows.lowerBound, to: rows.upperBound, by: FirstStage.batch) {
      let range = first..<min(first + FirstStage.batch, rows.upperBound)
      let images = try range.map { try image($0) }
      full.encode(images, with: firstStage, at: first - rows.lowerBound)
      if let size = d.lowResolution?.size {
        low?.encode(
          images.map { $0.lowResolution(size) }, with: firstStage, at: first - rows.lowerBound)
      }
      if d.masks != nil { for i in range { masks += try mask(i).labels } }
    }
    let ownLabels = d.hasLabels ? rows.map { label($0) } : nil
    try masks.withUnsafeBufferPointer { masks in
      var data = LatentRows(mean: full.straight.rows.mean, labels: ownLabels)
      (data.straight, data.flipped) = (full.straight.rows, full.flipped?.rows)
      (data.low, data.lowFlipped) = (low?.straight.rows, low?.flipped?.rows)
      data.masks = d.masks == nil ? nil : masks.baseAddress
      try withExtendedLifetime((full, low)) { try writer.write(shard: shard, data) }
    }
  }

  private func label(_ i: Int) -> Int {
    guard let label = source.label(i) else { return -1 }
    guard let labels, labels.indices.contains(label) else { return label }
    return labels[label]
  }

  private func image(_ i: Int) throws -> ImageBuffer {
    let image = try source.image(i)
    let shape = writer.description.latentShape
    try firstStage.check(image.size, latentShape: shape, place: source.place(i))
    return image
  }

  private func mask(_ i: Int) throws -> LabelMap {
    let plane = writer.description.masks!
    guard let map = try source.map(i) else {
      throw UserError(
        .badData, source.place(i), found: "no label map", expected: "one for every picture")
    }
    guard map.height == plane.height, map.width == plane.width else {
      throw UserError(
        .badData, source.place(i), found: "a label map of \(map.width)×\(map.height)",
        expected: "\(plane.width)×\(plane.height)",
        advice: "give --size to crop and scale pictures and maps to one size")
    }
    return map
  }
}

extension ImageBuffer {
  /// The short side becomes `side`, the long one follows; bicubic, antialiased.
  public func lowResolution(_ side: Int) -> ImageBuffer {
    let size = size.lowResolution(side)
    return resized(width: size.width, height: size.height, .bicubic)
  }
}

extension ImageSize {
  public func lowResolution(_ side: Int) -> ImageSize {
    let short = min(width, height)
    return ImageSize(width: width * side / short, height: height * side / short)
  }
}

/// Rows under way, of images and, where wanted, of their mirror images.
private final class MomentBuffers {
  final class Rows {
    let mean: Storage
    let logvar: Storage?

    init(_ count: Int, withLogvar: Bool) {
      mean = Storage(count: count)
      logvar = withLogvar ? Storage(count: count) : nil
    }

    var rows: MomentRows { MomentRows(mean: mean.base, logvar: logvar?.base) }
  }

  let rowCount: Int
  let straight: Rows
  let flipped: Rows?

  init(_ count: Int, _ rowCount: Int, _ d: LatentCacheDescription) {
    self.rowCount = rowCount
    straight = Rows(count * rowCount, withLogvar: d.hasLogvar)
    flipped = d.hasFlips ? Rows(count * rowCount, withLogvar: d.hasLogvar) : nil
  }

  /// - Parameter row: of the first image.
  func encode(_ images: [ImageBuffer], with stage: FirstStage, at row: Int) {
    put(stage.encode(images), images.count, into: straight, at: row)
    guard let flipped else { return }
    put(
      stage.encode(images.map { $0.flippedHorizontally() }), images.count, into: flipped, at: row)
  }

  private func put(
    _ moments: (mean: Tensor, logvar: Tensor?), _ images: Int, into rows: Rows, at row: Int
  ) {
    let count = images * rowCount
    (rows.mean.base + row * rowCount).update(from: moments.mean.base, count: count)
    if let logvar = moments.logvar {
      (rows.logvar!.base + row * rowCount).update(from: logvar.base, count: count)
    }
  }
}
