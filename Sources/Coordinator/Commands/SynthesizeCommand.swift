import ArgumentParser
import Diagnostics
import FlowCore
import FlowData
import FlowModels
import Foundation
import RunFormat
import Worker

/// `latentflow synthesize`
struct SynthesizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "synthesize",
    abstract: "Draws pictures after label maps, over all ranks.",
    discussion: """
      --maps names a set of pictures with label maps (celebamask, ade20k, coco-stuff, shapes, or a
      folder whose dataset.json names masks), or a folder of maps alone, PNGs whose values are
      classes. Results get the names of the pictures or maps; picture i has the same bits whatever
      the number of ranks and whatever --count. 255 is «unlabelled».

      Examples:
        scripts/run.sh 2 latentflow synthesize runs/shapes-semantic --maps data/shapes-heldout \\
          --count 256 --judge --out drawn --grid grid.png
        latentflow synthesize runs/faces --maps celebamask:CelebAMask-HQ --size 256 --count 64 \\
          --out faces
        latentflow synthesize runs/faces --maps my-maps --solver heun --steps 20 --out faces
      """)

  @Argument(help: "A run folder, a checkpoint folder, or a weights file.")
  var model: String
  @Option(help: "The label maps, with their pictures or without.")
  var maps: String
  @Option(help: "Number of maps, the first ones. (default: all)")
  var count: Int?
  @Option(help: "A new or empty folder for the pictures.")
  var out: String?
  @Option(help: "A PNG of maps, results, and the pictures that belong to the maps.")
  var grid: String?
  @Option(help: "Maps of the grid, the first ones.")
  var gridCount = 16
  @Flag(
    help: ArgumentHelp(
      "Shapes: judge the class of every pixel of the results, and count those that agree."))
  var judge = false
  @OptionGroup var fitting: FitOptions
  @OptionGroup var pictures: PictureOptions
  @OptionGroup var sampling: SamplingOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if let count, count < 1 { throw ValidationError("--count \(count): expected at least 1.") }
    guard out != nil || grid != nil || judge else {
      throw ValidationError("give --out FOLDER, --grid FILE or --judge.")
    }
    guard (1...4096).contains(gridCount) else {
      throw ValidationError("--grid-count \(gridCount): expected 1 to 4096.")
    }
    guard pictures.exif == .ignore else {
      throw ValidationError("--exif apply: label maps have no EXIF notes to follow.")
    }
  }

  func run() throws {
    try Job.run(threading) { job in
      let (loaded, drawing) = try sampling.prepare(model, job, task: .semantic)
      let maps = try job.communicator.together {
        let maps = try openMaps(loaded)
        if job.isCoordinator { try checkPlaces() }
        // Every map is read once before anything is drawn, each by one of the ranks.
        for i in stride(from: job.rank, to: maps.count, by: job.communicator.size) {
          _ = try maps.map(i)
        }
        return maps
      }
      var plan = drawing
      if let labels = try ownLabels(maps, loaded) { plan.labels = .cycle(labels) }
      let givens = SemanticGivens(
        loaded.config.rescaler!, count: maps.count, latentShape: loaded.header.latentShape,
        map: maps.map)
      let sampler = Sampler(loaded.network, loaded.firstStage, plan, givens: givens)
      try draw(job, loaded, plan, maps, sampler)
    }
  }

  private func openMaps(_ loaded: LoadedModel) throws -> SynthesisMaps {
    let (shape, semantic) = (loaded.header.latentShape, loaded.config.semantic!)
    let factor = 1 << semantic.stages
    if judge, semantic.classes != 1 + ShapeClass.count {
      throw UserError(
        .usage, "--judge", found: "a model of maps of \(semantic.classes) classes",
        expected: "one of the shapes set, whose maps have \(1 + ShapeClass.count)")
    }
    return try SynthesisMaps(
      pictures.open(maps), Preparation(fit: fitting.fit),
      size: ImageSize(width: shape[1] * factor, height: shape[0] * factor),
      classes: semantic.classes, count: count)
  }

  private func checkPlaces() throws {
    if let out { try Preflight.requireEmptyOrNew(out) }
    if let grid { try Preflight.requireWritableFolder(parentFolder(of: grid)) }
  }

  /// What a model that takes labels beside maps is told: the pictures' own unless others are asked
  /// for.
  private func ownLabels(_ maps: SynthesisMaps, _ loaded: LoadedModel) throws -> [Int]? {
    let classes = loaded.config.model.classes
    guard classes > 0, sampling.drawing.labels == "uniform" else { return nil }
    let labels = (0..<maps.count).compactMap { maps.label($0) }
    guard labels.count == maps.count, labels.allSatisfy({ $0 < classes }) else {
      throw UserError(
        .badData, self.maps, found: "pictures without labels below \(classes)",
        expected: "those that the model was trained on", advice: "or name labels with --labels")
    }
    return labels
  }

  private func draw(
    _ job: Job, _ loaded: LoadedModel, _ plan: SamplingPlan, _ maps: SynthesisMaps,
    _ sampler: Sampler
  ) throws {
    let progress = PictureProgress(of: maps.count, interval: plan.itemSize)
    var done: [FinishedSample] = []
    try sampler.run(count: maps.count, job.communicator) { sample in
      if let out {
        let file = "\(out)/\(maps.name(sample.index))"
        try Disk.local.createFolders(parentFolder(of: file))
        try sample.image.writePNG(to: file)
      }
      done.append(sample)
      progress.update(done.count)
    }
    let seconds = progress.seconds
    try job.communicator.together {
      guard job.isCoordinator else { return }
      progress.finish()
      done.sort { $0.index < $1.index }
      let record = SynthesisRecord(
        sampling: SamplingRecord(
          loaded, plan, done, seconds: seconds, ranks: job.communicator.size),
        maps: self.maps, size: fitting.fit?.size,
        judgement: judge ? try ClassMapJudgement(done, maps, loaded) : nil)
      try finish(record, done, maps)
    }
  }

  private func finish(
    _ record: SynthesisRecord, _ samples: [FinishedSample], _ maps: SynthesisMaps
  ) throws {
    if let grid {
      try SynthesisGrid(maps, Array(samples.prefix(gridCount))).compose().writePNG(to: grid)
    }
    let json = reportJSON(record)
    if let out { _ = try Disk.local.writeAtomically(Array(json.utf8), to: "\(out)/synthesis.json") }
    let places = [grid.map { "grid: \($0)" }, out.map { "pictures: \($0)" }].compactMap(\.self)
    let summary = String(
      format: "%d pictures in %.1f s, %.1f images/s; ", samples.count, record.sampling.seconds,
      record.sampling.imagesPerSecond) + record.sampling.solver + "\n"
    try StandardOutput.write(
      output.json
        ? json
        : summary + (record.judgement?.text ?? "") + places.map { $0 + "\n" }.joined())
  }
}

/// How pictures were drawn after maps: synthesis.json.
private struct SynthesisRecord: Encodable {
  var sampling: SamplingRecord
  var maps: String
  var size: Int?
  var judgement: ClassMapJudgement?
}

/// Map, result and, where known, the picture that belongs to the map, in columns.
private struct SynthesisGrid {
  static let columns = 8
  let maps: SynthesisMaps
  let samples: [FinishedSample]

  init(_ maps: SynthesisMaps, _ samples: [FinishedSample]) {
    (self.maps, self.samples) = (maps, samples)
  }

  func compose() throws -> ImageBuffer {
    let palette = maps.palette
    let width = min(Self.columns, samples.count)
    var rows: [PictureStrip.Row] = []
    for first in stride(from: 0, to: samples.count, by: width) {
      let some = samples[first..<min(first + width, samples.count)]
      let blank = ImageBuffer(
        width: some[first].image.width, height: some[first].image.height, gray: 255)
      func row(_ title: String, _ picture: (FinishedSample) throws -> ImageBuffer) throws {
        let pictures = try some.map(picture)
        rows.append(
          .init(title, pictures + Array(repeating: blank, count: width - pictures.count)))
      }
      try row("map") { try maps.map($0.index).painted(palette) }
      try row("result") { $0.image }
      if maps.hasPictures { try row("original") { try maps.picture($0.index) ?? blank } }
    }
    return PictureStrip(
      columnTitles: Array(repeating: "", count: width), rows: rows,
      rowsPerGroup: maps.hasPictures ? 3 : 2
    ).compose()
  }
}
