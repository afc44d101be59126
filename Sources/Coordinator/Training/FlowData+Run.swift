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
    if let shape = config.data.latentShape {
      guard shape == d.latentShape else {
        throw UserError(
          .config, "data.latent_shape", found: "\(shape), and \(config.data.cache) holds latents "
            + "of \(d.latentShape)", expected: "\(d.latentShape)",
          advice: "name another cache, or drop the field to take what it holds")
      }
    }
    try config.model.section.refuseContext(of: config.data.cache)
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

  /// A cache that was made by another autoencoder, or from other images, than are there now.
  private static func checkOrigin(_ config: RunConfig, _ d: LatentCacheDescription) throws {
    var stage = FirstStage.identity
    if case .autoencoder(let path) = config.firstStage.stage {
      stage = try FirstStage.autoencoder(path)
    }
    let hash = stage.hash
    guard hash == d.autoencoderHash else {
      throw UserError(
        .badData, config.data.cache, at: "autoencoder", found: "made by \(d.autoencoderHash)",
        expected: "\(hash), the hash of first_stage",
        advice: "encode the images again, or name the autoencoder that made the cache")
    }
    try checkImages(config.data.cache, d, factor: stage.downsamplingFactor)
  }

  /// Images that have changed since they were encoded; no complaint where they are gone, for a
  /// cache needs them no more. Of sets too large to be read at every start only the number counts.
  private static func checkImages(
    _ cache: String, _ d: LatentCacheDescription, factor: Int
  ) throws {
    guard let location = try? ImageLocation(d.sourcePath), location.exists else { return }
    if let subset = d.subset, !FileManager.default.fileExists(atPath: subset) { return }
    let advice = "encode the images again, or move them elsewhere if the cache is what you want"
    // Where it is not known: not at all, or with the size that the latents show.
    let preparations =
      d.preparation.map { [$0] }
      ?? [Preparation(), Preparation(fit: .centerCrop(d.latentShape[0] * factor))]
    var source = try openImages(location, subset: d.subset)
    if let broken = try BrokenList.read(in: cache) {
      source = try broken.rest(of: source)
    }
    guard source.count == d.count else {
      throw UserError(
        .badData, cache, at: "images", found: "made from \(d.count) images",
        expected: "\(source.count), as \(d.sourcePath) has", advice: advice)
    }
    guard source.count <= 20_000, source.storedBytes <= 1 << 29 else { return }
    let found = try source.fingerprints(preparations)
    guard found.contains(d.sourceFingerprint) else {
      throw UserError(
        .badData, cache, at: "images", found: "made from images of hash \(d.sourceFingerprint)",
        expected: "\(found[0]), the hash of \(d.sourcePath)", advice: advice)
    }
  }
}
