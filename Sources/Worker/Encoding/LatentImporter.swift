import Diagnostics
import FlowComm
import FlowData

/// Puts latents that were made elsewhere into a cache, over all ranks; shards that a run before has
/// finished are kept.
public struct LatentImporter {
  let source: any LatentSource
  let writer: LatentCacheWriter

  public init(_ source: any LatentSource, writer: LatentCacheWriter) {
    (self.source, self.writer) = (source, writer)
  }

  /// Collective.
  ///
  /// - Parameter progress: on rank 0, after each shard, with the rows done.
  public func run(_ communicator: any Communicator, progress: (Int) -> Void) throws {
    var done = 0
    try WorkQueue(communicator).run(count: writer.description.shards.count) { shard in
      if !writer.isDone(shard) { try copy(shard) }
      return []
    } deliver: { shard, _ in
      done += writer.rows(shard).count
      progress(done)
    }
  }

  private func copy(_ shard: Int) throws {
    var (means, logvars) = ([Float](), [Float]())
    let rows = writer.rows(shard)
    for i in rows {
      let (mean, logvar) = try source.latent(i)
      means += mean
      logvars += logvar ?? []
    }
    try means.withUnsafeBufferPointer { means in
      try logvars.withUnsafeBufferPointer { logvars in
        try writer.write(
          shard: shard,
          LatentRows(
            mean: means.baseAddress!, logvar: source.hasLogvar ? logvars.baseAddress : nil,
            labels: source.classNames == nil ? nil : rows.map { source.label($0) ?? -1 }))
      }
    }
  }
}
