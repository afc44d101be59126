import ArgumentParser
import Diagnostics
import Foundation
import RunFormat
import Worker

/// `latentflow debug step --run R --step N`
struct DebugStepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "step",
    abstract: "Recomputes one step of a run on one rank and compares it with what the run logged.",
    discussion: """
      Starts from the nearest good checkpoint before the step, or from the initial weights, and
      compares loss and gradient norm with the run's metrics.csv bit for bit: they do not depend on
      the number of ranks, given the same threads per rank. Nothing is written. Exit status 1 if
      they differ.

      Examples:
        latentflow debug step --run runs/demo --step 120
        latentflow debug step --run runs/demo --step 120 \\
          --checkpoint runs/demo/checkpoints/step-00000100
      """)

  @Option(name: .customLong("run"), help: "The run folder.")
  var runFolder: String

  @Option(help: "The step, from 1.")
  var step: Int

  @Option(help: "The checkpoint folder to start from. (default: the nearest one of the run)")
  var checkpoint: String?

  @Option(help: "Threads. (default: those of each rank of the run)")
  var threads: Int?

  @OptionGroup var output: OutputOptions

  func validate() throws {
    if step < 1 { throw ValidationError("--step \(step): found \(step); expected 1 or more.") }
  }

  func run() throws {
    let folder = RunFolder(path: runFolder)
    guard folder.holdsRun else {
      throw UserError(
        .missingInput, runFolder, found: "no config.yaml", expected: "the folder of a run")
    }
    let config = try AnyRunConfig(file: folder.configPath)
    let environment = try folder.readEnvironment()
    let logged = try LoggedSteps(folder.metricsPath)
    let wanted = try logged.step(step)
    var options = ThreadOptions()
    options.threads = threads ?? environment.threadsPerRank
    try Job.runAlone(options) { job in
      let replay = try StepReplay(job, config, folder)
      let start = try replay.load(before: step, checkpoint: checkpoint)
      let found = try replay.run(to: step, logged)
      let comparison = StepComparison(
        step: step, startedFrom: start, logged: wanted, found: found.report,
        firstDifference: found.firstDifference)
      if output.json {
        try StandardOutput.write(json: comparison)
      } else {
        try StandardOutput.write(comparison.text)
      }
      guard comparison.isIdentical else {
        explain(environment, threads: job.threads)
        throw ExitCode(ExitStatus.failure.rawValue)
      }
    }
  }

  /// What else bits depend on.
  private func explain(_ environment: RunEnvironment, threads: Int) {
    if threads != environment.threadsPerRank {
      StandardError.say(
        "note: \(threads) threads here, \(environment.threadsPerRank) per rank in the run")
    }
    if HostDescription.cpu != environment.cpu {
      StandardError.say(
        "note: the run computed on \(environment.cpu), this is \(HostDescription.cpu)")
    }
    if environment.versions["latentflow"] != LatentFlow.version {
      StandardError.say(
        "note: the run used version \(environment.versions["latentflow"] ?? "unknown"), "
          + "this is \(LatentFlow.version)")
    }
  }
}

/// The logged step and the one computed here.
private struct StepComparison: Encodable {
  struct Figures: Encodable {
    let loss: Double
    let gradientNorm: Double
    let learningRate: Double
  }

  let step: Int
  /// Finished steps of the checkpoint that the replay began with; 0 for the initial weights.
  let startedFrom: Int
  let logged: Figures
  let found: Figures
  let isIdentical: Bool
  /// The first replayed step that differs from the log; nil if none does.
  let firstDifference: Int?

  init(
    step: Int, startedFrom: Int, logged: LoggedStep, found: StepReport, firstDifference: Int?
  ) {
    (self.step, self.startedFrom, self.firstDifference) = (step, startedFrom, firstDifference)
    self.logged = Figures(
      loss: logged.loss, gradientNorm: logged.gradientNorm, learningRate: logged.learningRate)
    self.found = Figures(
      loss: found.loss, gradientNorm: found.gradientNorm, learningRate: found.learningRate)
    isIdentical = logged.equals(found)
  }

  var text: String {
    var table = TextTable()
    func row(_ name: String, _ a: Double, _ b: Double) {
      let difference = String(format: "relative difference %.1e", abs(a - b) / abs(a))
      table.append(name, "\(a)", "\(b)", sameBits(a, b) ? "bit-identical" : difference)
    }
    table.append("step \(step)", "logged", "here")
    row("loss", logged.loss, found.loss)
    row("gradient norm", logged.gradientNorm, found.gradientNorm)
    let start = startedFrom == 0 ? "the initial weights" : "the checkpoint of step \(startedFrom)"
    var text = table.text() + "replayed from \(start)"
    if let firstDifference { text += "; the first step that differs is \(firstDifference)" }
    text += "\n"
    if !sameBits(logged.learningRate, found.learningRate) {
      text +=
        "the learning rate was \(logged.learningRate) and is \(found.learningRate) by "
        + "config.yaml: the schedule was changed after that step\n"
    }
    return text
  }
}
