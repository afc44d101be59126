import Diagnostics
import FlowComm
import FlowCore
import FlowData
import Foundation
import Worker

/// The data of a training run: the cache or the pictures, where this rank reads them, and what all
/// ranks know of them.
struct RunData {
  let description: LatentCacheDescription
  let source: any LatentRowSource
  /// The factor of the configuration, or that of the data.
  let scale: Double
  /// Where the coupling goes through pixels.
  private let couplingStage: FirstStage?

  /// For couplings that go through pixels.
  var codec: PixelCodec? { couplingStage?.codec(scale: Float(scale)) }
  /// Image pixels per latent pixel along each axis, where the coupling goes through them.
  var imageFactor: Int { couplingStage?.downsamplingFactor ?? 1 }

  /// Collective: opens the data and checks them against the configuration.
  ///
  /// - Parameter run: folder of the run, where the list of broken pictures lies.
  init(_ config: RunConfig, _ job: Job, run: String) throws {
    if let images = config.data.images {
      (description, source) = try RunData.stream(images, config, job, run)
    } else {
      (description, source) = try RunData.openCache(config, job)
    }
    if case .factor(let factor) = config.firstStage.scale {
      scale = factor
    } else {
      scale = description.scaleFactor
    }
    couplingStage = try job.communicator.together {
      config.coupling.needsCodec ? try config.firstStage.open() : nil
    }
  }

  /// Collective: a cache, checked against its images and its autoencoder.
  private static func openCache(
    _ config: RunConfig, _ job: Job
  ) throws -> (LatentCacheDescription, any LatentRowSource) {
    let reads = job.isCoordinator || config.data.placement == .local
    let cache = try job.communicator.together {
      reads ? try LatentCache(folder: config.data.cache) : nil
    }
    let description = try RunData.share(cache?.index.description, job)
    try job.communicator.together {
      try RunData.check(config, description)
      if job.isCoordinator { try RunData.checkOrigin(config, cache!.index) }
    }
    let rows: any LatentRowSource =
      switch config.data.placement {
      case .local: LocalRows(cache!, rank: job.rank, contents: config.rowContents)
      case .scatter:
        ScatteredRows(job.communicator, cache: cache, contents: config.rowContents)
      }
    return (
      description,
      try RunData.withHoles(rows, config, job, description) {
        try cache.map { try RunData.pictures(of: $0, config) }
      }
    )
  }

  /// Collective: pictures that are encoded as they are needed. Every rank has the first stage.
  private static func stream(
    _ images: String, _ config: RunConfig, _ job: Job, _ run: String
  ) throws -> (LatentCacheDescription, any LatentRowSource) {
    let data = config.data
    let reads = job.isCoordinator || data.placement == .local
    var base = try job.communicator.together { reads ? try openImageSource(images) : nil }
    if data.broken == .skip {
      base = try job.withoutBroken(base!, listIn: run, reusing: true)
    }
    let (stage, source) = try job.communicator.together {
      (
        try config.firstStage.open(),
        try base.map {
          try PreparedImages(
            $0, Preparation(fit: data.size.map { .centerCrop($0) }, exif: data.exif))
        }
      )
    }
    let own = try job.communicator.together {
      try source.map {
        try RunData.describe(
          $0, stage, images, lowSize: config.coupling.upsampling?.lowSize,
          hasMaps: config.semantic != nil)
      }
    }
    let description = try RunData.share(own, job)
    try job.communicator.together { try RunData.check(config, description) }
    let rows = StreamedRows(
      stage, source, description, job.communicator,
      StreamedRows.Settings(
        prefetch: data.prefetch, decoders: data.decoders, scatters: data.placement == .scatter))
    return (
      description, try RunData.withHoles(rows, config, job, description, stage) { source }
    )
  }

  /// The latents of pictures, as a cache of them would describe them.
  private static func describe(
    _ source: PreparedImages, _ stage: FirstStage, _ images: String, lowSize: Int?, hasMaps: Bool
  ) throws -> LatentCacheDescription {
    guard source.count > 0 else {
      throw UserError(.badData, images, found: "no images", expected: "at least one")
    }
    let size = try source.size(0)
    var description = LatentCacheDescription(
      count: source.count,
      latentShape: try stage.latentShape(of: size, place: source.place(0)),
      hasLogvar: !stage.isIdentity, hasFlips: true, hasLabels: source.classNames != nil,
      classNames: source.classNames ?? [], sourceFingerprint: "", sourcePath: images,
      autoencoderHash: stage.hash, scaleFactor: stage.scaleFactor ?? 1)
    description.lowResolution = try lowSize.map {
      .init(
        size: $0,
        latentShape: try stage.latentShape(of: size.lowResolution($0), place: "coupling.low_size"))
    }
    if hasMaps, let classes = source.mapClasses, let map = try source.map(0) {
      description.masks = .init(height: map.height, width: map.width, classes: classes)
    }
    return description
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

  /// Collective: the same rows, for an inpainting with those of the pictures with holes.
  ///
  /// - Parameter open: the pictures, on ranks that read; nil on others.
  private static func withHoles(
    _ rows: any LatentRowSource, _ config: RunConfig, _ job: Job, _ d: LatentCacheDescription,
    _ stage: FirstStage? = nil, open: () throws -> PreparedImages?
  ) throws -> any LatentRowSource {
    guard let inpainting = config.inpainting else { return rows }
    let (stage, images, generator) = try job.communicator.together {
      let images = try open()
      let generator = try inpainting.generator()
      if let images, generator.needsMap, images.mapClasses == nil {
        throw UserError(
          .config, "inpainting.masks",
          found: "\(inpainting.masks), and \(images.path) has no label maps",
          expected: "celebamask, ade20k, coco-stuff or shapes, or another kind of mask")
      }
      return (try stage ?? config.firstStage.open(), images, generator)
    }
    let factor = stage.downsamplingFactor
    try job.communicator.together {
      guard inpainting.thumbnail == 0 || factor % inpainting.thumbnail == 0 else {
        throw UserError(
          .config, "inpainting.thumbnail",
          found: "\(inpainting.thumbnail) cells in the \(factor) pixels of a latent pixel",
          expected: "a divisor of \(factor)")
      }
    }
    return MaskedRows(
      rows, stage, images: images, generator, inpainting.context, seed: config.seed,
      latentShape: d.latentShape, job.communicator, scatters: config.data.placement == .scatter)
  }

  /// The pictures that a cache was made from, as they were prepared: an inpainting needs them.
  private static func pictures(
    of cache: LatentCache, _ config: RunConfig
  ) throws -> PreparedImages {
    let d = cache.index.description
    guard cache.index.encodings.count == 1 else {
      throw UserError(
        .badData, cache.folder, found: "a cache of \(cache.index.encodings.count) encodings",
        expected: "one: inpainting reads the pictures that the latents were made from")
    }
    let preparation =
      try d.preparation
      ?? Preparation(
        fit: .centerCrop(d.latentShape[0] * config.firstStage.open().downsamplingFactor))
    var source = try openImages(ImageLocation(d.sourcePath), subset: d.subset)
    let list = BrokenList.fileName(of: d.sourcePath, appended: false)
    if let broken = try BrokenList.read(in: cache.folder, file: list) {
      source = try broken.rest(of: source)
    }
    guard source.count == d.count else {
      throw UserError(
        .badData, d.sourcePath, found: "\(source.count) pictures",
        expected: "\(d.count), from which \(cache.folder) was made")
    }
    return try PreparedImages(source, preparation)
  }

  /// Labels, flips and posterior that the configuration asks of the cache.
  private static func check(_ config: RunConfig, _ d: LatentCacheDescription) throws {
    if let shape = config.data.latentShape {
      guard shape == d.latentShape else {
        throw UserError(
          .config, "data.latent_shape",
          found: "\(shape), and \(config.data.name) holds latents "
            + "of \(d.latentShape)", expected: "\(d.latentShape)",
          advice: "name another cache, or drop the field to take what it holds")
      }
    }
    try config.checkCoupling(d)
    let classes = config.model.classes
    if classes > 0 && (!d.hasLabels || d.classNames.count > classes) {
      throw UserError(
        .config, "model.classes",
        found: "\(classes), and \(config.data.name) has "
          + (d.hasLabels ? "\(d.classNames.count) classes" : "no labels"),
        expected: d.hasLabels ? "\(d.classNames.count)" : "0")
    }
    if config.data.flip > 0 && !d.hasFlips {
      throw UserError(
        .config, "data.flip",
        found: "\(config.data.flip), and \(config.data.cache) holds no "
          + "flipped latents", expected: "0", advice: "encode again with --flips")
    }
  }

  /// A cache that was made by another autoencoder, or from other images, than are there now.
  private static func checkOrigin(_ config: RunConfig, _ index: LatentCacheIndex) throws {
    let stage = try config.firstStage.open()
    let d = index.description
    guard stage.hash == d.autoencoderHash else {
      throw UserError(
        .badData, config.data.cache, at: "autoencoder", found: "made by \(d.autoencoderHash)",
        expected: "\(stage.hash), the hash of first_stage",
        advice: "encode the images again, or name the autoencoder that made the cache")
    }
    for (i, part) in index.encodings.enumerated() {
      let list = BrokenList.fileName(of: part.sourcePath, appended: i > 0)
      try checkImages(config.data.cache, part, factor: stage.downsamplingFactor, broken: list)
    }
  }

  /// Images that have changed since they were encoded; no complaint where they are gone, for a
  /// cache needs them no more. Of sets too large to be read at every start only the number counts.
  private static func checkImages(
    _ cache: String, _ d: LatentCacheDescription, factor: Int, broken list: String
  ) throws {
    guard let location = try? ImageLocation(d.sourcePath), location.exists else { return }
    if let subset = d.subset, !FileManager.default.fileExists(atPath: subset) { return }
    let advice = "encode the images again, or move them elsewhere if the cache is what you want"
    // Where it is not known: not at all, or with the size that the latents show.
    let preparations =
      d.preparation.map { [$0] }
      ?? [Preparation(), Preparation(fit: .centerCrop(d.latentShape[0] * factor))]
    var source = try openImages(location, subset: d.subset)
    if let broken = try BrokenList.read(in: cache, file: list) {
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
