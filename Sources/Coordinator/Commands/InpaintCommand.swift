import ArgumentParser
import Diagnostics
import FlowCore
import FlowData
import Foundation
import RunFormat
import Worker

/// `latentflow inpaint`
struct InpaintCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inpaint",
    abstract: "Completes pictures with holes, over all ranks.",
    discussion: """
      Pictures and masks have the same names, but for extensions; masks are black in the hole. A
      picture of another size than the model's is cropped and scaled by --size, its mask with it.
      Results get the names of the pictures, as PNG; picture i has the same bits whatever the number
      of ranks and whatever --count.

      Examples:
        scripts/run.sh 2 latentflow inpaint runs/inpainting --images photos --masks masks \\
          --size 256 --keep-known --out completed --grid grid.png
        latentflow inpaint runs/shapes-inpainting --images shapes:256@64#1 --kind shape \\
          --steps 20 --solver heun --out completed --save-masks masks
      """)

  @Argument(help: "A run folder, a checkpoint folder, or a weights file.")
  var model: String
  @Option(help: "The pictures, any set of them.")
  var images: String
  @Option(help: "Folder of their masks.")
  var masks: String?
  @Option(help: "In place of --masks: a kind of `dataset masks`, drawn with --seed.")
  var kind: String?
  @Option(help: "Write the masks of --kind into this new or empty folder.")
  var saveMasks: String?
  @Option(help: "Number of pictures, the first ones. (default: all)")
  var count: Int?
  @Option(help: "A new or empty folder for the completed pictures.")
  var out: String?
  @Option(help: "A PNG of picture, picture with its hole, and result.")
  var grid: String?
  @Option(help: "Pictures of the grid, the first ones.")
  var gridCount = 32
  @Flag(help: "Keep the known pixels exactly: only the hole is taken from the network.")
  var keepKnown = false
  @OptionGroup var fitting: FitOptions
  @OptionGroup var pictures: PictureOptions
  @OptionGroup var sampling: SamplingOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if let count, count < 1 { throw ValidationError("--count \(count): expected at least 1.") }
    guard (masks == nil) != (kind == nil) else {
      throw ValidationError("give either --masks FOLDER or --kind KIND.")
    }
    guard saveMasks == nil || kind != nil else {
      throw ValidationError("--save-masks goes with --kind.")
    }
    guard out != nil || grid != nil else {
      throw ValidationError("give --out FOLDER, --grid FILE, or both.")
    }
    guard (1...4096).contains(gridCount) else {
      throw ValidationError("--grid-count \(gridCount): expected 1 to 4096.")
    }
  }

  func run() throws {
    try Job.run(threading) { job in
      let (loaded, drawn) = try sampling.prepare(model, job, task: .inpainting)
      var plan = drawn
      let pairs = try job.communicator.together {
        let pairs = try openPairs(loaded)
        if job.isCoordinator { try checkPlaces(pairs) }
        return pairs
      }
      if let labels = try pairs.labels(for: loaded, as: sampling.drawing.labels) {
        plan.labels = .cycle(labels)
      }
      let givens = InpaintingGivens(
        loaded.firstStage, count: pairs.count, latentShape: loaded.header.latentShape,
        scale: plan.scale, context: loaded.config.inpainting?.context ?? .latent,
        picture: pairs.picture)
      let sampler = Sampler(loaded.network, loaded.firstStage, plan, givens: givens)
      try complete(job, loaded, plan, pairs, sampler)
    }
  }

  // Spelled out: an error thrown inside `map … ?? …` arrives damaged (Swift 6.3, optimised).
  private func holes() throws -> InpaintingPairs.Holes {
    if let masks { return .folder(try MaskFolder(masks)) }
    let generator = try MaskGenerator(kind!)
    return .drawn(generator, seed: sampling.drawing.seeding.seed ?? 0)
  }

  private func openPairs(_ loaded: LoadedModel) throws -> InpaintingPairs {
    let shape = loaded.header.latentShape
    let factor = loaded.firstStage.downsamplingFactor
    let source = try pictures.open(images)
    return try InpaintingPairs(
      source, Preparation(fit: fitting.fit, exif: pictures.exif), holes: holes(),
      size: ImageSize(width: shape[1] * factor, height: shape[0] * factor), count: count)
  }

  /// On rank 0, before anything is drawn: folders to write into, and every picture with its mask.
  private func checkPlaces(_ pairs: InpaintingPairs) throws {
    for (folder, option) in [(out, "--out"), (saveMasks, "--save-masks")] {
      if let folder { try Preflight.requireEmptyOrNew(folder, option: option) }
    }
    if let grid { try Preflight.requireWritableFolder(parentFolder(of: grid)) }
    try pairs.checkAll()
  }

  private func complete(
    _ job: Job, _ loaded: LoadedModel, _ plan: SamplingPlan, _ pairs: InpaintingPairs,
    _ sampler: Sampler
  ) throws {
    let progress = PictureProgress(of: pairs.count, interval: plan.itemSize)
    var done: [FinishedSample] = []
    var rows: [Int: [ImageBuffer]] = [:]
    try sampler.run(count: pairs.count, job.communicator) { sample in
      let pair = try pairs.picture(sample.index)
      let result = keepKnown ? pair.mask.composite(sample.image, over: pair.image) : sample.image
      try write(result, pair, named: pairs.name(sample.index))
      if sample.index < gridCount {
        rows[sample.index] = [pair.image, pair.mask.masked(pair.image), result]
      }
      done.append(sample)
      progress.update(done.count)
    }
    let seconds = progress.seconds
    try job.communicator.together {
      guard job.isCoordinator else { return }
      progress.finish()
      let record = InpaintingRecord(
        sampling: SamplingRecord(
          loaded, plan, done, seconds: seconds, ranks: job.communicator.size),
        images: images, masks: masks, kind: kind, size: fitting.fit?.size, keepKnown: keepKnown)
      try finish(record, pairs, tiles: rows.sorted { $0.key < $1.key }.flatMap(\.value))
    }
  }

  private func write(_ result: ImageBuffer, _ pair: MaskedPicture, named name: String) throws {
    for folder in [out, saveMasks].compactMap(\.self) {
      try Disk.local.createFolders(parentFolder(of: "\(folder)/\(name)"))
    }
    if let out { try result.writePNG(to: "\(out)/\(name)") }
    if let saveMasks { try pair.mask.writePNG(to: "\(saveMasks)/\(name)") }
  }

  private func finish(
    _ record: InpaintingRecord, _ pairs: InpaintingPairs, tiles: [ImageBuffer]
  ) throws {
    // Four pictures in a row, three tiles each.
    if let grid { try ImageGrid(columns: 12).compose(tiles).writePNG(to: grid) }
    if let out {
      if let labels = pairs.labels {
        let lines = labels.enumerated().map { "\(pairs.name($0)),\($1)\n" }
        _ = try Disk.local.writeAtomically(
          Array(("file,label\n" + lines.joined()).utf8), to: "\(out)/labels.csv")
      }
      _ = try Disk.local.writeAtomically(
        Array(reportJSON(record).utf8), to: "\(out)/inpainting.json")
    }
    let places = [
      grid.map { "grid: \($0)" }, out.map { "pictures: \($0)" },
      saveMasks.map { "masks: \($0)" },
    ].compactMap(\.self).joined(separator: ", ")
    try StandardOutput.write(
      output.json
        ? reportJSON(record)
        : "\(pairs.count) pictures completed, "
          + String(format: "%.1f images/s; ", record.sampling.imagesPerSecond) + places + "\n")
  }
}

/// How pictures were completed: inpainting.json.
private struct InpaintingRecord: Encodable {
  var sampling: SamplingRecord
  var images: String
  var masks: String?
  var kind: String?
  var size: Int?
  var keepKnown: Bool
}
