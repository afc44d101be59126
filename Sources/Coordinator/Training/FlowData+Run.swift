import Diagnostics
import FlowComm
import FlowData
import Foundation
import Worker

/// The data of a training run: the cache, where this rank reads it, and what all ranks know of it.
struct RunData {
  /// On ranks that map it.
  let cache: LatentCache?
  let description: LatentCacheDescription
  let source: any LatentRowSource
  /// The factor of the configuration, or the cache's.
  let scale: Double

  /// Collective: opens the cache and checks it against the configuration, its images and its
  /// autoencoder.
  init(_ config: RunConfig, _ job: Job) throws {
    let reads = job.isCoordinator || config.data.placement == .local
    let cache = try job.communicator.together {
      reads ? try LatentCache(folder: config.data.cache) : nil
    }
    self.cache = cache
    description = try RunData.share(cache?.index.description, job)
    if case .factor(let factor) = config.firstStage.scale {
      scale = factor
    } else {
      scale = description.scaleFactor
    }
    switch config.data.placement {
    case .local: source = LocalRows(cache!, rank: job.rank)
    case .scatter: source = try ScatteredRows(job.communicator, cache: cache)
    }
    let d = description
    try job.communicator.together {
      try RunData.check(config, d)
      if job.isCoordinator { try RunData.checkOrigin(config, d) }
    }
  }

  private static func share(
    _ own: LatentCacheDescription?, _ job: Job
  ) throws -> LatentCacheDescription {
    let bytes = try job.communicator.together {
      job.isCoordinator ? [UInt8](try JSONEncoder().encode(own!)) : []
    }
    let shared = try job.communicator.broadcast(bytes, from: 0)
    return try job.communicator.together {
      try JSONDecoder().decode(LatentCacheDescription.self, from: Data(shared))
    }
  }

  /// Labels, flips and posterior that the configuration asks of the cache.
  private static func check(_ config: RunConfig, _ d: LatentCacheDescription) throws {
    let classes = config.model.classes
    if classes > 0 && (!d.hasLabels || d.classNames.count > classes) {
      throw UserError(
        .config, "model.classes", found: "\(classes), and \(config.data.cache) has "
          + (d.hasLabels ? "\(d.classNames.count) classes" : "no labels"),
        expected: d.hasLabels ? "\(d.classNames.count)" : "0")
    }
    if config.data.flip > 0 && !d.hasFlips {
      throw UserError(
        .config, "data.flip", found: "\(config.data.flip), and \(config.data.cache) holds no "
          + "flipped latents", expected: "0", advice: "encode again with --flips")
    }
  }

  /// A cache that was made from other images, or by another autoencoder, than are there now.
  private static func checkOrigin(_ config: RunConfig, _ d: LatentCacheDescription) throws {
    var hash = FirstStage.identityHash
    if case .autoencoder(let path) = config.firstStage.stage {
      hash = try FirstStage.autoencoder(path).hash
    }
    guard hash == d.autoencoderHash else {
      throw UserError(
        .badData, config.data.cache, at: "autoencoder", found: "made by \(d.autoencoderHash)",
        expected: "\(hash), the hash of first_stage",
        advice: "encode the images again, or name the autoencoder that made the cache")
    }
  }
}
