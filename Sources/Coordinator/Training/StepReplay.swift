import Diagnostics
import FlowData
import Foundation
import RunFormat
import Worker

/// The configuration of a run, whichever command began it.
enum AnyRunConfig {
  case flow(RunConfig)
  case autoencoder(AutoencoderRunConfig)

  /// Reads the config.yaml of a run folder.
  init(file path: String) throws {
    do {
      self = .flow(try RunConfig.load(file: path))
    } catch let error as UserError where error.status == .config {
      guard let other = try? AutoencoderRunConfig.load(file: path) else { throw error }
      self = .autoencoder(other)
    }
  }
}

/// The training of a run, gone through again on one rank. Reads the run folder; writes nothing.
struct StepReplay {
  private let optimizer: DataParallelOptimizer
  private let next: () throws -> StepReport
  private let checkpoints: CheckpointStore

  init(_ job: Job, _ config: AnyRunConfig, _ folder: RunFolder) throws {
    checkpoints = CheckpointStore(folder: folder.checkpointsPath)
    switch config {
    case .flow(var config):
      config.data.placement = .local  // the same rows, whoever reads them
      let data = try RunData(config, job, run: folder.path)
      let trainer = try config.trainer(
        job, data, config.model.specification(latentShape: data.description.latentShape))
      (optimizer, next) = (trainer.optimizer, { try trainer.step() })
    case .autoencoder(let config):
      let trainer = try AutoencoderTrainer(
        config.network, plan: config.plan,
        settings: .init(config.training, config.optimizer, config.ema, threads: job.threads),
        source: config.openImages(job, run: folder.path),
        communicator: job.communicator)
      (optimizer, next) = (trainer.optimizer, { try trainer.step() })
    }
  }

  /// Loads the given checkpoint, or the newest good one of fewer than `step` steps; keeps the
  /// initial weights if there is none.
  ///
  /// - Returns: the finished steps of what was loaded.
  func load(before step: Int, checkpoint path: String?) throws -> Int {
    if let path {
      let checkpoint = try Checkpoint(folder: path)
      guard checkpoint.step < step else {
        throw UserError(
          .usage, path, found: "a checkpoint of step \(checkpoint.step)",
          expected: "one before step \(step)")
      }
      try checkpoint.verify()
      try optimizer.load(checkpoint)
      return checkpoint.step
    }
    for candidate in try checkpoints.list().reversed() where candidate < step {
      let checkpoint: Checkpoint
      do {
        checkpoint = try checkpoints.checkpoint(step: candidate)
        try checkpoint.verify()
      } catch let error as UserError where error.status == .badData {
        let name = CheckpointStore.name(step: candidate)
        StandardError.say("warning: checkpoint \(name) is skipped: \(error.summary)")
        continue
      }
      try optimizer.load(checkpoint)
      return candidate
    }
    return 0
  }

  /// Steps up to and including `last`.
  ///
  /// - Returns: what step `last` came to, and the first step on the way that differs from the log.
  func run(
    to last: Int, _ logged: LoggedSteps
  ) throws -> (report: StepReport, firstDifference: Int?) {
    var firstDifference: Int?
    while true {
      let report = try next()
      if firstDifference == nil, let row = logged.steps[report.step], !row.equals(report) {
        firstDifference = report.step
      }
      if report.step == last { return (report, firstDifference) }
    }
  }
}

/// What a run logged of one step.
struct LoggedStep {
  let loss: Double
  let gradientNorm: Double
  let learningRate: Double

  /// Bit for bit; the schedule's rate is left out, for it acts on the next step only.
  func equals(_ report: StepReport) -> Bool {
    sameBits(loss, report.loss) && sameBits(gradientNorm, report.gradientNorm)
  }
}

/// The same number to the last bit; text does not keep the bits of a NaN.
func sameBits(_ a: Double, _ b: Double) -> Bool {
  a.bitPattern == b.bitPattern || (a.isNaN && b.isNaN)
}

/// The rows of a run's metrics.csv, whose numbers are the shortest that give the same bits.
struct LoggedSteps {
  let steps: [Int: LoggedStep]
  private let path: String

  init(_ path: String) throws {
    self.path = path
    guard let data = FileManager.default.contents(atPath: path) else {
      throw UserError(.missingInput, path, found: "cannot be read", expected: "a run's metrics")
    }
    let lines = String(decoding: data, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false)
    let columns = lines[0].split(separator: ",").map(String.init)
    let wanted = try ["step", "loss", "gradient_norm", "learning_rate"].map { name in
      guard let index = columns.firstIndex(of: name) else {
        throw UserError(
          .badData, path, at: "line 1", found: "no column \(name)",
          expected: "the metrics of latentflow train")
      }
      return index
    }
    var steps: [Int: LoggedStep] = [:]
    // What follows the last newline is a row that is being written.
    for (number, line) in lines.enumerated().dropFirst().dropLast() {
      let cells = line.split(separator: ",", omittingEmptySubsequences: false)
      let values = wanted.map { $0 < cells.count ? Double(cells[$0]) : nil }
      guard let step = values[0].flatMap(Int.init(exactly:)), let loss = values[1],
        let norm = values[2], let rate = values[3]
      else {
        throw UserError(
          .badData, path, at: "line \(number + 1)", found: "\(line)", expected: "\(lines[0])")
      }
      steps[step] = LoggedStep(loss: loss, gradientNorm: norm, learningRate: rate)
    }
    self.steps = steps
  }

  func step(_ step: Int) throws -> LoggedStep {
    if let row = steps[step] { return row }
    throw UserError(
      .usage, path, found: "no row of step \(step)",
      expected: steps.isEmpty
        ? "a run that has made steps"
        : "a step from \(steps.keys.min()!) to \(steps.keys.max()!)")
  }
}
