import ArgumentParser
import Diagnostics
import FlowData
import Foundation
import RunFormat
import Worker

/// `latentflow encode`
struct EncodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "encode",
    abstract: "Turns images into a latent cache, over all ranks; resumable.",
    discussion: """
      Images: a folder of PNG, JPEG and WebP, one subfolder per class or no labels; LMDB, tar
      shards, CIFAR-10, ImageNet … as KIND:PATH#PART (docs/data.md). A run that was killed goes on
      where it stopped; finished shards are kept.

      Example:
        scripts/run.sh 2 latentflow encode data/shapes --out data/shapes-latents \\
          --autoencoder models/shapes-autoencoder
        latentflow encode photos --size 256 --identity --out data/photos-pixels
        latentflow encode 'shards/train-{000000..000010}.tar' --size 256 --broken skip \\
          --out data/latents --autoencoder models/shapes-autoencoder
      """)

  @Argument(help: "A folder of images, or another set: KIND:PATH#PART.")
  var images: String
  @Option(help: "Folder of the cache.")
  var out: String
  @Option(help: "The first stage: a weights file or a folder that holds one.")
  var autoencoder: String?
  @Flag(help: "No first stage: pixels are the latents.")
  var identity = false
  @Flag(help: "Encode the horizontally flipped images too.")
  var flips = false
  @Option(help: "Factor that brings latents to unit variance. (default: the autoencoder's own)")
  var scale: Double?
  @Option(help: "Pictures that cannot be read: strict (stop at one) or skip (list them).")
  var broken = BrokenPolicy.strict
  @OptionGroup var fitting: FitOptions
  @OptionGroup var pictures: PictureOptions
  @OptionGroup var threading: ThreadOptions

  func validate() throws {
    guard (autoencoder != nil) != identity else {
      throw ValidationError("give either --autoencoder PATH or --identity.")
    }
    if let scale, !(scale > 0) { throw ValidationError("--scale \(scale): expected above 0.") }
  }

  func run() throws {
    try Job.run(threading) { job in
      let (stage, source, writer) = try open(job)
      // Every rank has listed the images and has the same description; the hash of all images is
      // taken once.
      var description = writer
      let fingerprint = try job.communicator.together {
        job.isCoordinator ? try source.fingerprint() : ""
      }
      description.sourceFingerprint = String(
        decoding: try job.communicator.broadcast(Array(fingerprint.utf8), from: 0), as: UTF8.self)
      let cache = try job.communicator.together {
        try LatentCacheWriter(folder: out, description)
      }
      let progress = ProgressLine()
      let clock = ContinuousClock()
      let begin = clock.now
      try LatentEncoder(stage, source, writer: cache).run(job.communicator) { done in
        let rate = Double(done) / (clock.now - begin).seconds
        progress.update(
          RunProgress(
            step: done, total: source.count, imagesPerSecond: rate,
            secondsLeft: Double(source.count - done) / rate), isLogged: true)
      }
      try job.communicator.together {
        guard job.isCoordinator else { return }
        progress.finish()
        try LatentCacheReport.write(cache.finish(), folder: out)
      }
    }
  }

  /// Collective.
  private func open(
    _ job: Job
  ) throws -> (FirstStage, PreparedImages, LatentCacheDescription) {
    var base = try job.communicator.together { try pictures.open(images) }
    if broken == .skip { base = try job.withoutBroken(base, listIn: out) }
    return try job.communicator.together { try prepare(base) }
  }

  private func prepare(
    _ base: any ImageSource
  ) throws -> (FirstStage, PreparedImages, LatentCacheDescription) {
    let preparation = Preparation(fit: fitting.fit, exif: pictures.exif)
    let source = try PreparedImages(base, preparation)
    if preparation.fit == nil { try source.checkHeaders() }
    let stage = identity ? FirstStage.identity : try FirstStage.autoencoder(autoencoder!)
    let first = try source.size(0)
    let f = stage.downsamplingFactor
    guard first.width % f == 0, first.height % f == 0 else {
      throw UserError(
        .badData, source.place(0), found: "\(first) pixels",
        expected: "sides that the first stage divides by \(f)",
        advice: "give --size, a multiple of \(f)")
    }
    var description = LatentCacheDescription(
      count: source.count, latentShape: [first.height / f, first.width / f, stage.latentChannels],
      hasLogvar: !stage.isIdentity, hasFlips: flips, hasLabels: source.classNames != nil,
      classNames: source.classNames ?? [], sourceFingerprint: "", sourcePath: images,
      autoencoderHash: stage.hash, scaleFactor: scale ?? stage.scaleFactor ?? 1)
    description.preparation = preparation
    description.subset = pictures.subset
    return (stage, source, description)
  }
}
