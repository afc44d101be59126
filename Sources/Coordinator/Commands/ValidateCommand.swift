import ArgumentParser
import Diagnostics
import FlowData
import FlowMetrics
import Foundation
import RunFormat
import Worker

/// `latentflow validate`
struct ValidateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "validate",
    abstract: "Compares an up-sampling model with held-out pictures, over all ranks.",
    discussion: """
      Pictures are made small (bicubic, antialiased), up-sampled by the model and by bicubic
      resampling, and both compared with what they were: PSNR, SSIM, MSE, sharpness (mean square
      of the Laplacian over that of the real pictures), and with --patches the Fréchet distance
      of random crops. The figures are the same on any number of ranks.

      Example:
        scripts/run.sh 2 latentflow validate runs/up --images data/heldout --count 256 \\
          --solver euler --steps 10 --grid up.png
      """)

  /// Pictures of one work item.
  static let itemSize = 16

  @Argument(help: "A run folder, a checkpoint folder or a weights file.")
  var model: String
  @Option(help: "The held-out pictures: a folder, or another set.")
  var images: String
  @Option(help: "Crop and scale them to this side in pixels.")
  var size: Int?
  @Option(help: "Short side of the small pictures. (default: as the model was trained)")
  var lowSize: Int?
  @Option(help: "Use only the first pictures, this many.")
  var count: Int?
  @Option(help: "A PNG with real, small and up-sampled pictures side by side.")
  var grid: String?
  @Option(help: "Pictures of the grid.")
  var shown = 16
  @OptionGroup var drawing: DrawOptions
  @OptionGroup var solving: SolverOptions
  @OptionGroup var judging: FeatureOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    for (name, value) in [("--count", count), ("--size", size), ("--low-size", lowSize)] {
      if let value, value < 1 { throw ValidationError("\(name) \(value): expected at least 1.") }
    }
  }

  func run() throws {
    try Job.run(threading) { job in
      let loaded = try drawing.load(model, job, task: .upsampling)
      let (pairs, plan) = try job.communicator.together { try prepare(loaded, job) }
      let judge = try job.communicator.together { try extractor(loaded) }
      let validation = UpsamplingValidation(
        loaded.network, loaded.firstStage, plan, pairs,
        judge: judge.map { ($0, judging.patches!) }, shownCount: grid == nil ? 0 : shown)
      let progress = PictureProgress(of: pairs.count, interval: pairs.count)
      let found = try validation.run(job.communicator) { progress.update($0) }
      try job.communicator.together {
        guard job.isCoordinator else { return }
        progress.finish()
        let report = try ValidationReport(
          found, pairs, solver: plan.solver.description, extractor: judge)
        if let grid { try ImageGrid.comparison(found)?.writePNG(to: grid) }
        try StandardOutput.write(output.json ? report.json : report.text)
      }
    }
  }

  private func prepare(
    _ loaded: LoadedModel, _ job: Job
  ) throws -> (SmallImages, SamplingPlan) {
    if job.isCoordinator, let grid {
      try Preflight.requireWritableFolder(parentFolder(of: grid))
    }
    let pairs = try pairs(loaded)
    var plan = try drawing.plan(
      loaded, try solving.sampler(along: loaded.config.path.path), guidance: 1)
    plan.itemSize = Self.itemSize
    return (pairs, plan)
  }

  private func pairs(_ loaded: LoadedModel) throws -> SmallImages {
    let source = try PreparedImages(
      try openImageSource(images), fit: size.map { .centerCrop($0) })
    try source.checkHeaders()
    guard let low = lowSize ?? loaded.config.coupling.upsampling?.lowSize else {
      throw UserError(
        .usage, "--low-size", found: "not given, and the model does not say it",
        expected: "the short side of the small pictures")
    }
    let pairs = try SmallImages(
      source, lowSize: low, loaded.firstStage, scale: Float(loaded.header.scale), count: count)
    try judging.requireFit(try source.size(0), of: "pictures of \(images)")
    return pairs
  }

  /// Where `--patches` asks for one.
  private func extractor(_ loaded: LoadedModel) throws -> FeatureExtractor? {
    guard judging.patches != nil else { return nil }
    return try judging.extractor(firstStage: loaded.firstStage)
  }
}
