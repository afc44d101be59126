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
        latentflow encode more-photos --size 256 --identity --out data/photos-pixels --append
        latentflow encode celebamask:CelebAMask-HQ --size 256 --masks --low-res 64 \\
          --out data/faces --autoencoder vae
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
  @Flag(help: "Keep the label maps of the pictures beside the latents.")
  var masks = false
  @Option(help: "Encode the pictures scaled down to this short side too.")
  var lowRes: Int?
  @Flag(
    help: """
      Put the rows behind those of the finished cache, in new files; flips, masks, low-res, scale \
      and shard-rows are the cache's.
      """)
  var append = false
  @Option(help: "Rows of one file. (default: 1024)")
  var shardRows: Int?
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
    if let lowRes, lowRes < 1 { throw ValidationError("--low-res \(lowRes): expected above 0.") }
    if let shardRows, !(1...1 << 20).contains(shardRows) {
      throw ValidationError("--shard-rows \(shardRows): expected 1 to \(1 << 20).")
    }
    if append, flips || masks || lowRes != nil || scale != nil || shardRows != nil {
      throw ValidationError(
        "--append takes --flips, --masks, --low-res, --scale and --shard-rows from the cache.")
    }
    if masks, pictures.exif == .apply {
      throw ValidationError("--masks with --exif apply: label maps have no EXIF notes to follow.")
    }
  }

  func run() throws {
    try Job.run(threading) { job in
      let old = try job.communicator.together {
        append ? try LatentCacheIndex.read(in: out) : nil
      }
      let (stage, source, description) = try open(job, old)
      let cache = try job.communicator.together {
        try LatentCacheWriter(folder: out, description, append: append)
      }
      let encoder = LatentEncoder(
        stage, source, writer: cache,
        labels: source.classNames.map { names in
          names.map { description.classNames.firstIndex(of: $0)! }
        })
      let progress = PictureProgress(of: source.count)
      try encoder.run(job.communicator) { progress.update($0) }
      try job.communicator.together {
        guard job.isCoordinator else { return }
        progress.finish()
        try LatentCacheReport.write(cache.finish(), folder: out)
      }
    }
  }

  /// Collective.
  private func open(
    _ job: Job, _ old: LatentCacheIndex?
  ) throws -> (FirstStage, PreparedImages, LatentCacheDescription) {
    var base = try job.communicator.together { try pictures.open(images) }
    if broken == .skip {
      let list = BrokenList.fileName(of: images, appended: append)
      base = try job.withoutBroken(base, listIn: out, file: list)
    }
    var (stage, source, description) = try job.communicator.together { try prepare(base, old) }
    // Every rank has listed the images and has the same description; the hashes of all images and
    // maps are taken once.
    func shared(_ hash: () throws -> String) throws -> String {
      let own = try job.communicator.together { job.isCoordinator ? try hash() : "" }
      return String(
        decoding: try job.communicator.broadcast(Array(own.utf8), from: 0), as: UTF8.self)
    }
    description.sourceFingerprint = try shared { try source.fingerprint() }
    if description.masks != nil {
      description.masks!.fingerprint = try shared { try source.mapFingerprint() }
    }
    // What is in the cache already keeps the classes that it had then.
    if let same = old?.encodings.first(where: {
      $0.sourceFingerprint == description.sourceFingerprint
    }) {
      description.classNames = same.classNames
    }
    return (stage, source, description)
  }

  private func prepare(
    _ base: any ImageSource, _ old: LatentCacheIndex?
  ) throws -> (FirstStage, PreparedImages, LatentCacheDescription) {
    let preparation = Preparation(fit: fitting.fit, exif: pictures.exif)
    let source = try PreparedImages(base, preparation)
    if preparation.fit == nil { try source.checkHeaders() }
    let stage = identity ? FirstStage.identity : try FirstStage.autoencoder(autoencoder!)
    guard source.count > 0 else {
      throw UserError(.badData, images, found: "no images", expected: "at least one")
    }
    let size = try source.size(0)
    let before = old?.description
    var description = LatentCacheDescription(
      count: source.count, latentShape: try stage.latentShape(of: size, place: source.place(0)),
      shardRows: before?.shardRows ?? shardRows ?? 1024, hasLogvar: !stage.isIdentity,
      hasFlips: before?.hasFlips ?? flips, hasLabels: source.classNames != nil,
      classNames: source.classNames ?? [], sourceFingerprint: "", sourcePath: images,
      autoencoderHash: stage.hash,
      scaleFactor: before?.scaleFactor ?? scale ?? stage.scaleFactor ?? 1)
    description.preparation = preparation
    description.subset = pictures.subset
    if let before {
      // Classes are known by their names; new ones get labels behind the old.
      let new = description.classNames.filter { !before.classNames.contains($0) }
      description.classNames = description.hasLabels ? before.classNames + new : []
    }
    if masks || before?.masks != nil {
      guard let classes = source.mapClasses, let map = try source.map(0) else {
        throw UserError(
          .usage, images, found: "pictures without label maps",
          expected: "with --masks: celebamask, ade20k, coco-stuff or shapes")
      }
      description.masks = .init(height: map.height, width: map.width, classes: classes)
    }
    if let side = before?.lowResolution?.size ?? lowRes {
      guard side < min(size.width, size.height) else {
        throw UserError(
          .usage, "--low-res", found: "\(side) for pictures of \(size)", expected: "less")
      }
      description.lowResolution = .init(
        size: side,
        latentShape: try stage.latentShape(of: size.lowResolution(side), place: "--low-res"))
    }
    return (stage, source, description)
  }
}
