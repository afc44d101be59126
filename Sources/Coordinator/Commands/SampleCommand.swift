import ArgumentParser
import Diagnostics
import FlowCore
import FlowData
import Foundation
import RunFormat
import Worker

/// `latentflow sample`
struct SampleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sample",
    abstract: "Draws samples with a trained model, over all ranks.",
    discussion: """
      Sample i has the same bits whatever the number of ranks and whatever --count. With --out:
      000000.png …, labels.csv and samples.json, which says how they were made.

      Examples:
        scripts/run.sh 2 latentflow sample runs/demo --count 64 --grid grid.png --cfg 2
        latentflow sample runs/demo --count 16 --labels 3 --solver dopri5 --rtol 1e-4 --out s
        latentflow sample test_args/celeb256_dit.txt --weights model_475.pth \\
          --autoencoder sd-vae-ft-mse --count 16 --grid faces.png
        latentflow sample runs/demo --count 16 --solver heun --sde sigma --steps 50 --out s
      """)

  @Argument(
    help: "A run folder, a checkpoint folder, a weights file, or an argument file of LFM.")
  var model: String
  @Option(help: "The weights of an argument file, if they are not where it says.")
  var weights: String?
  @Option(help: "Number of samples.")
  var count: Int
  @Option(help: "A new or empty folder for single PNGs.")
  var out: String?
  @Option(help: "A PNG with all samples, row by row.")
  var grid: String?
  @Option(help: "Columns of the grid. (default: a square)")
  var columns: Int?
  @Option(help: "all (in turn), uniform (drawn), or numbers in turn, as 0,5,2.")
  var labels = "uniform"
  @Option(help: "Scale s of classifier-free guidance, u + s·(c − u). (default: 1, none)")
  var cfg: Double?
  @Option(help: "Times a,b of the model between which guidance applies. (default: all)")
  var guidanceInterval: String?
  @OptionGroup var solving: SolverOptions
  @OptionGroup var seeding: SeedOptions
  @Flag(help: "Use the trained parameters rather than their running average.")
  var noEma = false
  @Option(help: "The first stage, if it has moved since training.")
  var autoencoder: String?
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard count > 0 else { throw ValidationError("--count \(count): expected at least 1.") }
    guard out != nil || grid != nil else {
      throw ValidationError("give --out FOLDER, --grid FILE, or both.")
    }
    if let columns, columns < 1 {
      throw ValidationError("--columns \(columns): expected at least 1.")
    }
    if let cfg, !(cfg >= 0 && cfg.isFinite) {
      throw ValidationError("--cfg \(cfg): expected 0 or more.")
    }
    _ = try guidedTimes()
  }

  mutating func run() throws {
    try Job.run(threading) { job in
      let loaded = try job.communicator.together {
        try LoadedModel(
          model, averaged: !noEma, autoencoder: autoencoder, weights: weights,
          warn: job.isCoordinator)
      }
      if let sampling = loaded.sampling { follow(sampling, says: job.isCoordinator) }
      let plan = try job.communicator.together { try samplingPlan(loaded) }
      try job.communicator.together {
        guard job.isCoordinator else { return }
        if let out { try Preflight.requireEmptyOrNew(out) }
        if let grid {
          try Preflight.requireWritableFolder(parentFolder(of: grid))
        }
      }
      try draw(job, loaded, plan)
    }
  }

  /// Takes solver and guidance of an argument file where the command line says nothing of them.
  private mutating func follow(_ sampling: ImportedSampling, says: Bool) {
    if cfg == nil { cfg = sampling.guidance }
    let isSilent =
      solving.solver == "dopri5" && solving.steps == nil && solving.rtol == nil
      && solving.atol == nil
    guard isSilent else { return }
    (solving.solver, solving.steps) = (sampling.solver, sampling.steps)
    (solving.rtol, solving.atol) = (sampling.relativeTolerance, sampling.absoluteTolerance)
    if says { StandardError.say("solver of the argument file: \(sampling.solver)") }
  }

  private func samplingPlan(_ loaded: LoadedModel) throws -> SamplingPlan {
    SamplingPlan(
      seed: seeding.seed ?? 0, solver: try solving.sampler(along: loaded.config.path.path),
      guidance: try guidance(loaded), guidanceInterval: try guidedTimes(),
      labels: try labelChoice(loaded), path: loaded.config.path.path,
      scale: Float(loaded.header.scale))
  }

  private func guidance(_ loaded: LoadedModel) throws -> Float {
    let cfg = self.cfg ?? 1
    if cfg != 1 && (loaded.config.model.classes == 0 || loaded.specification.nullLabel == nil) {
      throw UserError(
        .usage, "--cfg", found: "\(cfg) on a model without a null label", expected: "1",
        advice: "guidance needs a model trained with model.label_dropout above 0")
    }
    return Float(cfg)
  }

  private func guidedTimes() throws -> ClosedRange<Float> {
    guard let text = guidanceInterval else { return -.infinity ... .infinity }
    guard let ends = numbers(text), ends.count == 2, ends[0] <= ends[1] else {
      throw ValidationError(
        "--guidance-interval \(text): expected two times, as 0.2,0.8, the smaller first.")
    }
    return Float(ends[0])...Float(ends[1])
  }

  private func labelChoice(_ loaded: LoadedModel) throws -> LabelChoice {
    let classes = loaded.config.model.classes
    if classes == 0 {
      guard labels == "uniform" else {
        throw UserError(
          .usage, "--labels", found: "\(labels) for a model without labels", expected: "none")
      }
      return .none
    }
    if labels == "uniform" { return .uniform(classes: classes) }
    if labels == "all" { return .cycle(Array(0..<classes)) }
    let numbers = try labels.split(separator: ",", omittingEmptySubsequences: false).map { text in
      guard let label = Int(text), (0..<classes).contains(label) else {
        throw UserError(
          .usage, "--labels", found: "«\(text)»", expected: "a class from 0 to \(classes - 1)",
          advice: classes == loaded.header.classNames.count
            ? loaded.header.classNames.enumerated().map { "\($0.offset) \($0.element)" }
              .joined(separator: ", ") : nil)
      }
      return label
    }
    return .cycle(numbers)
  }

  private func draw(_ job: Job, _ loaded: LoadedModel, _ plan: SamplingPlan) throws {
    let progress = ProgressLine()
    let clock = ContinuousClock()
    let begin = clock.now
    var done: [FinishedSample] = []
    try Sampler(loaded.network, loaded.firstStage, plan).run(count: count, job.communicator) {
      sample in
      if let out {
        try sample.image.writePNG(to: "\(out)/\(fileName(sample.index))")
      }
      done.append(sample)
      let rate = Double(done.count) / (clock.now - begin).seconds
      progress.update(
        RunProgress(
          step: done.count, total: count, imagesPerSecond: rate,
          secondsLeft: Double(count - done.count) / rate),
        isLogged: done.count % plan.itemSize == 0 || done.count == count)
    }
    let seconds = (clock.now - begin).seconds
    try job.communicator.together {
      guard job.isCoordinator else { return }
      progress.finish()
      done.sort { $0.index < $1.index }
      let record = SamplingRecord(
        loaded, plan, done, seconds: seconds, ranks: job.communicator.size)
      try write(done, record)
      try StandardOutput.write(output.json ? record.json : record.summary(out: out, grid: grid))
    }
  }

  private func write(_ samples: [FinishedSample], _ record: SamplingRecord) throws {
    if let grid {
      let width = columns ?? Int(Double(samples.count).squareRoot().rounded(.up))
      try ImageGrid(columns: width).compose(samples.map(\.image)).writePNG(to: grid)
    }
    guard let out else { return }
    if samples[0].label != nil {
      let rows = samples.map { "\(fileName($0.index)),\($0.label!)\n" }
      _ = try Disk.local.writeAtomically(
        Array(("file,label\n" + rows.joined()).utf8), to: "\(out)/labels.csv")
    }
    _ = try Disk.local.writeAtomically(Array(record.json.utf8), to: "\(out)/samples.json")
  }

  private func fileName(_ index: Int) -> String { String(format: "%06d.png", index) }
}
