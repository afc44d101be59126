import ArgumentParser
import Diagnostics
import FlowData
import FlowTensor
import Foundation
import RunFormat
import Worker

/// `latentflow evaluate`
struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Draws samples over all ranks and computes figures with their provenance.",
    discussion: """
      The same figure on any number of ranks (with equal threads each). No picture touches the disk
      unless asked for; features of finished items are kept, so that a killed run goes on. Without
      Inception weights the distance is that of the autoencoder's features and not called FID.

      Examples:
        mpirun -np 8 latentflow evaluate runs/celeba --count 50000 --reference celeba.npz \\
          --inception pt_inception-2015-12-05.pth
        scripts/run.sh 2 latentflow evaluate runs/demo --count 512 --reference data/shapes-heldout
      """)

  @Argument(help: "A run folder, a checkpoint folder, or a weights file.")
  var model: String
  @Option(help: "Number of samples.")
  var count: Int
  @Option(help: "Statistics (.npz, .npy, .safetensors), or a data set of real images.")
  var reference: String
  @Option(help: "Real images to use. (default: all)")
  var referenceCount: Int?
  @Option(
    name: .customLong("figures"),
    help: "Between commas: \(FigureKind.allCases.map(\.rawValue).joined(separator: ", ")).")
  var figureNames = "frechet"
  @Option(help: "Crop and scale the real images to this side in pixels.")
  var referenceSize: Int?
  @Option(help: "The report, JSON. (default: evaluation.json in the run folder, else here)")
  var out: String?
  @Option(help: "Folder of finished items. (default: evaluations/ beside the report)")
  var work: String?
  @Option(help: "Write all samples as PNGs into this new or empty folder.")
  var pictures: String?
  @Option(help: "Samples go through the bytes of a file first: none, png, jpeg.")
  var via = "none"
  @Option(help: "Quality of --via jpeg.")
  var quality = 75
  @Flag(help: "Round levels down, as LFM does, rather than to the nearest.")
  var truncate = false
  @OptionGroup var judging: FeatureOptions
  @OptionGroup var sampling: SamplingOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard count > 1 else { throw ValidationError("--count \(count): expected at least 2.") }
    guard (1...100).contains(quality) else {
      throw ValidationError("--quality \(quality): expected 1 to 100.")
    }
    guard PixelPipeline.File(rawValue: via) != nil else {
      throw ValidationError("--via \(via): expected none, png or jpeg.")
    }
    _ = try kinds()
  }

  private var pixels: PixelPipeline {
    PixelPipeline(
      tone: truncate ? .truncating : .nearest, via: PixelPipeline.File(rawValue: via)!,
      quality: quality)
  }

  func run() throws {
    try Job.run(threading) { job in
      let (loaded, plan) = try sampling.prepare(model, job)
      let places = Places(self, loaded)
      let extractor = try job.communicator.together {
        if job.isCoordinator {
          try Preflight.requireWritableFolder(parentFolder(of: places.report))
          if let pictures { try Preflight.requireEmptyOrNew(pictures, option: "--pictures") }
        }
        return try judging.extractor(firstStage: loaded.firstStage)
      }
      // A reference that is no good ends the command before anything is sampled.
      let known = try readReference(job, extractor, places)
      let work = FeatureWork(job: job, extractor: extractor)
      let done = try work.run(
        FeatureRun(extractor, Sampler(loaded.network, loaded.firstStage, plan), pixels),
        folder: places.work(loaded, plan, pixels, extractor), itemSize: plan.itemSize,
        count: count, "samples", sendsPictures: pictures != nil,
        picture: { index, image in
          try image.writePNG(to: "\(pictures!)/\(String(format: "%06d.png", index))")
        })
      try job.communicator.together {
        guard let rows = done.rows, let known else { return }
        let (features, evaluations) = try rows.features(dimension: extractor.dimension)
        let compute = FigureComputation(
          extractor: extractor, reference: known, itemSize: plan.itemSize, seed: plan.seed)
        let report = EvaluationReport(
          figures: compute(features, try kinds()),
          provenance: Provenance(
            loaded, plan, evaluations, pixels, extractor, known, job, trained: sampling.noEma,
            seconds: done.seconds, computed: done.computed))
        _ = try Disk.local.writeAtomically(Array(report.json.utf8), to: places.report)
        try StandardOutput.write(output.json ? report.json : report.text(places.report))
      }
    }
  }

  /// Collective: stored moments, or the features of a data set's pictures; on rank 0.
  private func readReference(
    _ job: Job, _ extractor: FeatureExtractor, _ places: Places
  ) throws -> ReferenceStatistics? {
    let needed = try kinds().filter { $0.needsRealFeatures }
    if ReferenceStatistics.isFile(reference) {
      return try job.communicator.together {
        guard needed.isEmpty else {
          throw UserError(
            .usage, "--figures", found: "\(needed[0].rawValue) with stored moments",
            expected: "a data set as --reference: this figure needs the real images")
        }
        return job.isCoordinator
          ? try ReferenceStatistics(file: reference, dimension: extractor.dimension) : nil
      }
    }
    let images = try job.communicator.together {
      try ReferenceImages(reference, size: referenceSize, count: referenceCount)
    }
    return try images.features(
      extractor, job, folder: places.items, itemSize: StatisticsCommand.itemSize)
  }

  private func kinds() throws -> [FigureKind] {
    try figureNames.split(separator: ",").map { word in
      guard let kind = FigureKind(rawValue: String(word)) else {
        let names = FigureKind.allCases.map(\.rawValue)
        let near = nearestName(to: String(word), among: names)
        throw ValidationError(
          "--figures \(word): unknown"
            + (near.map { "; did you mean \($0)?" }
              ?? "; expected \(names.joined(separator: ", "))."))
      }
      return kind
    }
  }
}

/// Where an evaluation keeps what.
private struct Places {
  let report: String
  /// Finished items of this and other evaluations.
  let items: String

  init(_ command: EvaluateCommand, _ loaded: LoadedModel) {
    let run = RunFolder(path: command.model)
    let folder = run.holdsRun ? command.model : "."
    report = command.out ?? "\(folder)/evaluation.json"
    items = command.work ?? "\(parentFolder(of: report))/evaluations"
  }

  /// A folder whose name says what the features are a function of, however many there are.
  func work(
    _ loaded: LoadedModel, _ plan: SamplingPlan, _ pixels: PixelPipeline,
    _ extractor: FeatureExtractor
  ) -> String {
    let content = [
      LatentFlow.version, loaded.hash, loaded.firstStage.hash, "\(plan)", pixels.description,
      extractor.name, extractor.hash,
    ].joined(separator: "\n")
    let hash = Array(content.utf8).withUnsafeBytes { sha256Hex(of: $0) }
    return "\(items)/\(hash.prefix(16))"
  }
}
