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
      --time and --nfe measure the sampling instead and need no reference.

      Examples:
        mpirun -np 8 latentflow evaluate runs/celeba --count 50000 --reference celeba.npz \\
          --inception pt_inception-2015-12-05.pth
        scripts/run.sh 2 latentflow evaluate runs/demo --count 512 --reference data/shapes-heldout
        scripts/run.sh 2 latentflow evaluate runs/demo --nfe --count 512 --time --trials 20
      """)

  @Argument(help: "A run folder, a checkpoint folder, or a weights file.")
  var model: String
  @Option(help: "Number of samples.")
  var count: Int?
  @Option(help: "The report, JSON. (default: evaluation.json in the run folder, else here)")
  var out: String?
  @Option(help: "Folder of finished items. (default: evaluations/ beside the report)")
  var work: String?
  @Option(help: "Write all samples as PNGs into this new or empty folder.")
  var pictures: String?
  @OptionGroup var speed: SpeedOptions
  @OptionGroup var figures: FigureOptions
  @OptionGroup var judging: ReferenceOptions
  @OptionGroup var sampling: SamplingOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if let count, count < 2 { throw ValidationError("--count \(count): expected at least 2.") }
    if speed.isAsked {
      guard judging.reference == nil && pictures == nil else {
        throw ValidationError("--time and --nfe go without --reference and --pictures.")
      }
    } else if judging.reference == nil {
      throw ValidationError("give --reference, or --time or --nfe.")
    }
    if count == nil && (speed.nfe || !speed.time) { throw ValidationError("give --count.") }
  }

  func run() throws {
    try Job.run(threading) { job in
      let (loaded, plan) = try sampling.prepare(model, job)
      if speed.isAsked {
        try speed.run(job, loaded, plan, count: count ?? 0, out: out, output)
      } else {
        try evaluate(job, loaded, plan, count: count!)
      }
    }
  }

  private func evaluate(
    _ job: Job, _ loaded: LoadedModel, _ plan: SamplingPlan, count: Int
  ) throws {
    let places = EvaluationPlaces(model: model, report: out, items: work)
    let extractor = try job.communicator.together {
      if job.isCoordinator {
        try Preflight.requireWritableFolder(parentFolder(of: places.report))
      }
      try judging.requireFit(loaded)
      return try judging.judging.extractor(firstStage: loaded.firstStage)
    }
    let work = FeatureWork(
      job: job, extractor: extractor, patches: judging.judging.patches)
    let key = loaded.key(plan, judging.pixels, work, trained: sampling.drawing.noEma)
    let folder = pictures.map { PictureFolder(path: $0, key: key, option: "--pictures") }
    try job.communicator.together { try folder?.prepare(isWriter: job.isCoordinator) }
    let known = try judging.read(work, figures, items: places.items, count: count)
    let sampler = Sampler(loaded.network, loaded.firstStage, plan)
    let done = try work.run(
      FeatureRun(extractor, patches: work.patches, sampler, judging.pixels),
      folder: "\(places.items)/\(key)", itemSize: plan.itemSize, count: count, "samples",
      pictures: folder)
    let found = try job.communicator.together {
      try done.rows?.features(dimension: extractor.dimension)
    }
    let compared = try ComparedFigures(
      figures, real: known?.features, fake: found?.features, seed: plan.seed, job.communicator)
    try job.communicator.together {
      guard let rows = done.rows, let known, let (features, evaluations) = found else { return }
      let compute = FigureComputation(
        extractor: extractor, patches: work.patches, options: figures, reference: known,
        itemRows: rows.itemRows, seed: plan.seed)
      let each = work.patches?.perImage ?? 1
      let report = EvaluationReport(
        figures: try compute(features, compared),
        provenance: Provenance(
          loaded, plan, evaluations: (0..<count).map { evaluations[$0 * each] }, judging.pixels,
          work, known, trained: sampling.drawing.noEma, seconds: done.seconds,
          computed: done.computed))
      _ = try Disk.local.writeAtomically(Array(report.json.utf8), to: places.report)
      try StandardOutput.write(output.json ? report.json : report.text(places.report))
    }
  }
}

/// Where an evaluation keeps what.
struct EvaluationPlaces {
  let report: String
  /// Finished items of this and other evaluations.
  let items: String

  init(model: String, report: String?, items: String?) {
    let folder = RunFolder(path: model).holdsRun ? model : "."
    self.report = report ?? "\(folder)/evaluation.json"
    self.items = items ?? "\(parentFolder(of: self.report))/evaluations"
  }
}

extension LoadedModel {
  /// Says what features of samples are a function of, however many there are: 16 hexadecimal
  /// digits.
  func key(
    _ plan: SamplingPlan, _ pixels: PixelPipeline, _ work: FeatureWork, trained: Bool
  ) -> String {
    let content = [
      hash, trained ? "trained" : "average", firstStage.hash, "\(plan)", pixels.description,
      work.key,
    ].joined(separator: "\n")
    return String(Array(content.utf8).withUnsafeBytes { sha256Hex(of: $0) }.prefix(16))
  }
}
