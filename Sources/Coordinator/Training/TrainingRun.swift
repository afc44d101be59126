import ArgumentParser
import Diagnostics
import FlowData
import Foundation
import RunFormat
import Worker

/// `--run`, `--steps`, `--stop-at`, `--resume`: what the training commands share.
struct RunOptions: ParsableArguments {
  @Option(name: .customLong("run"), help: "The run folder.")
  var folder: String

  @Option(help: "Train this many steps in all (overrides training.steps).")
  var steps: Int?

  @Option(help: "Leave after this step with a checkpoint and exit status 75; the schedule stays.")
  var stopAt: Int?

  @Option(help: "auto, never, or the folder of a checkpoint.")
  var resume = "auto"

  /// Overrides that the options stand for.
  var shortcuts: [String] { steps.map { ["training.steps=\($0)"] } ?? [] }

  var policy: ResumePolicy { ResumePolicy(resume) }
}

/// What `--resume` asks for.
enum ResumePolicy: Equatable {
  /// From the last good checkpoint of the run folder, if there is one.
  case auto
  /// The run folder must be new.
  case never
  /// From this checkpoint folder.
  case checkpoint(String)

  init(_ text: String) {
    switch text {
    case "auto": self = .auto
    case "never": self = .never
    default: self = .checkpoint(text)
    }
  }
}

/// The run folder, the log and the loop of a training command, the same for every kind of network.
/// Rank 0 owns all files but the shards of the optimiser's state.
final class TrainingRun<Config: RootConfiguration> {
  static var columns: [String] {
    ["step", "loss", "gradient_norm", "learning_rate", "images_per_second", "skipped"]
  }

  let job: Job
  let config: Config
  private let overrides: [String]
  let folder: RunFolder
  let checkpoints: CheckpointStore
  private let progress = ProgressLine()
  private var lock: RunLock?
  private var events: EventLog?
  private var metrics: MetricsCSV?
  private var board: TensorBoardWriter?

  /// Collective: opens the folder and refuses a changed configuration.
  init(
    _ job: Job, _ config: Config, overrides: [String], _ options: RunOptions
  ) throws {
    let path = options.folder
    self.job = job
    self.config = config
    self.overrides = overrides
    folder = RunFolder(path: path)
    checkpoints = CheckpointStore(folder: folder.checkpointsPath)
    try job.communicator.together {
      guard job.isCoordinator else { return }
      lock = try folder.open()
      if folder.holdsRun {
        if options.policy == .never {
          throw UserError(
            .usage, path, found: "a run has begun in this folder", expected: "a new folder",
            advice: "drop --resume never, or name another folder with --run")
        }
        try config.checkResumes(Config.load(file: folder.configPath), run: path)
      }
      try checkpoints.recover()
    }
  }

  /// On rank 0: what a run leaves as soon as it can start, not before: a configuration that turned
  /// out not to work must not stand in the way of its correction.
  private func writeDescription() throws {
    try folder.writeConfig(config.yaml)
    try folder.writeOverrides(overrides)
    try folder.writeEnvironment(
      RunEnvironment(
        ranks: job.communicator.size, threadsPerRank: job.threads, kernelTable: "built-in",
        versions: ["latentflow": LatentFlow.version], configFingerprint: config.fingerprint))
    events = try EventLog(folder.eventsPath)
  }

  /// Collective: loads the checkpoint that the policy names into `optimizer`, if any, writes
  /// config.yaml, overrides.txt and environment.json, and opens the metrics at its step.
  func resume(
    _ optimizer: DataParallelOptimizer, _ policy: ResumePolicy, tensorBoard: Bool
  ) throws {
    let chosen = try choose(policy)
    if let chosen {
      try job.communicator.together { try optimizer.load(try Checkpoint(folder: chosen)) }
    }
    try job.communicator.together {
      guard job.isCoordinator else { return }
      try writeDescription()
      metrics = try MetricsCSV(
        folder.metricsPath, columns: Self.columns, resumedStep: optimizer.step)
      board = tensorBoard ? try TensorBoardWriter(folder: folder.path) : nil
      if let note = optimizer.exchange.note { say(note) }
      if chosen != nil { say("resuming \(folder.path) from step \(optimizer.step)") }
      try events?.append(
        chosen == nil ? "started" : "resumed",
        [
          "step": .integer(optimizer.step), "ranks": .integer(job.communicator.size),
          "threads": .integer(job.threads), "overlap": .boolean(optimizer.exchange.overlaps),
          "parameters": .integer(optimizer.store.parameterCount),
        ])
    }
  }

  /// The folder of the checkpoint to load, told by rank 0 to all.
  private func choose(_ policy: ResumePolicy) throws -> String? {
    var path = ""
    try job.communicator.together {
      guard job.isCoordinator else { return }
      switch policy {
      case .never: break
      case .checkpoint(let folder):
        let checkpoint = try Checkpoint(folder: folder)
        try checkpoint.verify()
        path = folder
      case .auto:
        let (checkpoint, skipped) = try checkpoints.latestGood()
        // Starting anew would silently throw the run away.
        if checkpoint == nil, !skipped.isEmpty { throw noGoodCheckpoint(skipped) }
        for bad in skipped { say("warning: checkpoint \(bad.name) is skipped: \(bad.reason)") }
        path = checkpoint?.folder ?? ""
      }
    }
    let bytes = try job.communicator.broadcast(Array(path.utf8), from: 0)
    return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
  }

  private func noGoodCheckpoint(_ skipped: [CheckpointStore.Skipped]) -> UserError {
    let reasons = skipped.map { bad in
      "\(bad.name): " + bad.reason.prefix { !$0.isNewline }
    }
    return UserError(
      .badData, folder.checkpointsPath, found: "no good checkpoint among \(skipped.count)",
      expected: "one whose files have the recorded hashes",
      advice: (reasons + ["bring one back from a copy, or start a new run in another folder"])
        .joined(separator: "\n  "))
  }

  /// Collective: steps until `total`, with checkpoints, logs and signals on the way.
  ///
  /// - Parameters:
  ///   - batch: images per step.
  ///   - step: the next step; collective.
  ///   - save: writes a checkpoint of the finished steps; collective.
  ///   - stopAt: leaves after this step as if a signal had asked for it.
  ///   - afterStep: pictures and the like; collective.
  /// - Throws: `ExitCode` 75 after a checkpoint that a signal asked for.
  func loop(
    _ optimizer: DataParallelOptimizer, total: Int, batch: Int, logEvery: Int, saveEvery: Int,
    stopAt: Int? = nil, step: (RunRequests) throws -> StepReport, save: () throws -> Void,
    afterStep: (Int) throws -> Void = { _ in }
  ) throws {
    let clock = ContinuousClock()
    let begin = clock.now
    let first = optimizer.step
    var last = begin
    var savedAt = optimizer.step
    while optimizer.step < total {
      let report = try step(RunRequests(SignalFlags.take()))
      let now = clock.now
      let seconds = (now - last).seconds
      last = now
      let rate = Double(optimizer.step - first) / (now - begin).seconds
      try log(
        report, total: total, imagesPerSecond: Double(batch) / seconds,
        secondsLeft: Double(total - optimizer.step) / rate, isLogged: report.step % logEvery == 0)
      if let failure = optimizer.nonfiniteFailure { throw failure }
      let isDue = saveEvery > 0 && optimizer.step % saveEvery == 0
      let leaves = report.requests.contains(.leave) || report.step == stopAt
      if isDue || leaves || report.requests.contains(.checkpoint) || optimizer.step == total {
        try save()
        savedAt = optimizer.step
        try record("checkpoint", ["step": .integer(savedAt)])
      }
      if leaves && optimizer.step < total {
        if job.isCoordinator {
          progress.finish()
          say("interrupted: checkpoint of step \(savedAt) written; run the same command to go on")
        }
        try record("interrupted", figures(optimizer, since: first, begin, batch: batch))
        throw ExitCode(ExitStatus.requeue.rawValue)
      }
      try afterStep(optimizer.step)
    }
    progress.finish()
    try record("finished", figures(optimizer, since: first, begin, batch: batch))
  }

  private func figures(
    _ optimizer: DataParallelOptimizer, since first: Int, _ begin: ContinuousClock.Instant,
    batch: Int
  ) -> [String: EventValue] {
    let seconds = (ContinuousClock.now - begin).seconds
    return [
      "step": .integer(optimizer.step), "skipped_steps": .integer(optimizer.skippedSteps),
      "seconds": .number(seconds),
      "images_per_second": .number(
        Double(batch * (optimizer.step - first)) / max(1e-9, seconds)),
    ]
  }

  private func log(
    _ report: StepReport, total: Int, imagesPerSecond: Double, secondsLeft: Double, isLogged: Bool
  ) throws {
    try job.communicator.together {
      guard job.isCoordinator else { return }
      try metrics?.append(
        step: report.step,
        [
          report.loss, report.gradientNorm, report.learningRate, imagesPerSecond,
          report.skipped ? 1 : 0,
        ])
      progress.update(
        RunProgress(
          step: report.step, total: total, loss: report.loss, gradientNorm: report.gradientNorm,
          imagesPerSecond: imagesPerSecond, secondsLeft: secondsLeft), isLogged: isLogged)
      if report.skipped { say("step \(report.step): gradient not finite, step skipped") }
      if isLogged {
        try board?.scalars(
          [
            ("train/loss", report.loss), ("train/gradient_norm", report.gradientNorm),
            ("train/learning_rate", report.learningRate),
            ("train/images_per_second", imagesPerSecond),
          ], step: report.step)
      }
    }
  }

  /// Collective: an event in the run's log.
  func record(_ kind: String, _ fields: [String: EventValue] = [:]) throws {
    try job.communicator.together {
      if job.isCoordinator { try events?.append(kind, fields) }
    }
  }

  /// On rank 0: an event in the run's log.
  func event(_ kind: String, _ fields: [String: EventValue]) throws {
    try events?.append(kind, fields)
  }

  /// On rank 0: a figure for the board.
  func scalar(_ tag: String, _ value: Double, step: Int) throws {
    try board?.scalars([(tag, value)], step: step)
  }

  /// On rank 0: a picture for the run's folder and the board.
  func picture(_ tag: String, _ image: ImageBuffer, step: Int, file: String) throws {
    let png = try image.encodedPNG()
    _ = try Disk.local.writeAtomically(png, to: file)
    try board?.image(tag, png: png, width: image.width, height: image.height, step: step)
  }

  /// A line for a person, from rank 0.
  func say(_ text: String) {
    if job.isCoordinator { progress.say(text) }
  }
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}

extension RunRequests {
  init(_ flags: SignalFlags) {
    self = []
    if !flags.isDisjoint(with: .leave) { insert(.leave) }
    if flags.contains(.user2) { insert(.checkpoint) }
  }
}
