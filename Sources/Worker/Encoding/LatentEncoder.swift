import Diagnostics
import FlowComm
import FlowData
import FlowTensor

/// Turns images into a latent cache over all ranks; shards that a run before has finished are kept.
public struct LatentEncoder {
  /// Images per call of the first stage; the last call of a shard is padded, so that a row has the
  /// same bits whoever computes it.
  public static let batch = 32

  let firstStage: FirstStage
  let source: any ImageSource
  let writer: LatentCacheWriter

  public init(
    _ firstStage: FirstStage, _ source: any ImageSource, writer: LatentCacheWriter
  ) {
    (self.firstStage, self.source, self.writer) = (firstStage, source, writer)
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
    let straight = Moments(rows.count * d.rowCount, withLogvar: d.hasLogvar)
    let flipped = d.hasFlips ? Moments(rows.count * d.rowCount, withLogvar: d.hasLogvar) : nil
    for first in stride(from: rows.lowerBound, to: rows.upperBound, by: Self.batch) {
      let range = first..<min(first + Self.batch, rows.upperBound)
      let images = try range.map { i in
        let image = try source.image(i)
        let f = firstStage.downsamplingFactor
        guard image.height == d.latentShape[0] * f, image.width == d.latentShape[1] * f else {
          throw UserError(
            .badData, source.place(i), found: "\(image.width)×\(image.height) pixels",
            expected: "\(d.latentShape[1] * f)×\(d.latentShape[0] * f)",
            advice: "give --size to crop and scale all images to one size")
        }
        return image
      }
      let offset = (first - rows.lowerBound) * d.rowCount
      encode(images, into: straight, at: offset, rowCount: d.rowCount)
      if let flipped {
        encode(
          images.map { $0.flippedHorizontally() }, into: flipped, at: offset, rowCount: d.rowCount)
      }
    }
    let labels = d.hasLabels ? rows.map { source.label($0) ?? -1 } : nil
    try writer.write(
      shard: shard,
      LatentRows(
        mean: straight.mean.base, logvar: straight.logvar?.base, meanFlip: flipped?.mean.base,
        logvarFlip: flipped?.logvar?.base, labels: labels))
  }

  private func encode(
    _ images: [ImageBuffer], into moments: Moments, at offset: Int, rowCount: Int
  ) {
    let padded = images + Array(repeating: images[0], count: Self.batch - images.count)
    let (mean, logvar) = firstStage.encode(tensor(of: padded))
    let count = images.count * rowCount
    (moments.mean.base + offset).update(from: mean.base, count: count)
    if let logvar { (moments.logvar!.base + offset).update(from: logvar.base, count: count) }
  }
}

/// Rows of one shard under way.
private struct Moments {
  let mean: Storage
  let logvar: Storage?

  init(_ count: Int, withLogvar: Bool) {
    mean = Storage(count: count)
    logvar = withLogvar ? Storage(count: count) : nil
  }
}
