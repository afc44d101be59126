import ArgumentParser
import Diagnostics
import FlowData
import Foundation
import RunFormat
import Worker

/// `--time` and `--nfe`: what sampling costs, whatever comes of it.
struct SpeedOptions: ParsableArguments {
  @Flag(help: "Time per image, mean and deviation over trials on every rank.")
  var time = false
  @Option(help: "Batches that --time draws on each rank. (default: 10)")
  var trials: Int?
  @Option(help: "Batches drawn before these, not counted. (default: 2)")
  var warmup: Int?
  @Option(help: "Images of a batch of --time. (default: \(SamplingPlan.standardItemSize))")
  var batch: Int?
  @Flag(help: "Evaluations of the velocity field per sample: mean, least and most of --count.")
  var nfe = false

  var isAsked: Bool { time || nfe }

  func validate() throws {
    let rows = [
      ("--trials", trials, 1), ("--warmup", warmup, 0), ("--batch", batch, 1),
    ]
    for (name, value, least) in rows {
      guard let value else { continue }
      guard time else { throw ValidationError("\(name) goes with --time.") }
      guard value >= least else {
        throw ValidationError("\(name) \(value): expected at least \(least).")
      }
    }
  }

  /// Collective: measures, and prints on rank 0; with `out` writes the report there.
  func run(
    _ job: Job, _ loaded: LoadedModel, _ plan: SamplingPlan, count: Int, out: String?,
    _ output: OutputOptions
  ) throws {
    try job.communicator.together {
      if job.isCoordinator, let out {
        try Preflight.requireWritableFolder(parentFolder(of: out))
      }
    }
    var report = SpeedReport(loaded, plan, job)
    if time { report.time = try measureTime(job, loaded, plan) }
    if nfe {
      let sampler = Sampler(loaded.network, loaded.firstStage, plan)
      report.evaluations = try sampler.evaluations(count: count, job.communicator)
        .map(SpeedReport.Evaluations.init)
    }
    try job.communicator.together {
      guard job.isCoordinator else { return }
      if let out { _ = try Disk.local.writeAtomically(Array(report.json.utf8), to: out) }
      try StandardOutput.write(output.json ? report.json : report.text)
    }
  }

  private func measureTime(
    _ job: Job, _ loaded: LoadedModel, _ plan: SamplingPlan
  ) throws -> SpeedReport.Time {
    var plan = plan
    plan.itemSize = batch ?? plan.itemSize
    let (trials, warmup) = (trials ?? 10, warmup ?? 2)
    let sampler = Sampler(loaded.network, loaded.firstStage, plan)
    // All ranks at once, as in a sampling run.
    try job.communicator.barrier()
    let own = try job.communicator.together {
      try sampler.itemSeconds(trials: trials, warmup: warmup)
    }
    let seconds = try job.communicator.allGather(own)
    return SpeedReport.Time(seconds, batch: plan.itemSize, warmup: warmup)
  }
}

/// What `evaluate --time` and `--nfe` found.
struct SpeedReport: Codable {
  struct Time: Codable {
    /// Of one rank for one image.
    var secondsPerImage: Double
    /// Over trials and ranks, divisor their number, as LFM's report has it.
    var deviation: Double
    /// Of all ranks together.
    var imagesPerSecond: Double
    var trials: Int
    var warmup: Int
    var batch: Int

    /// - Parameter seconds: of every batch, by rank.
    init(_ seconds: [[Double]], batch: Int, warmup: Int) {
      let values = seconds.joined().map { $0 / Double(batch) }
      let mean = values.reduce(0, +) / Double(values.count)
      let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      secondsPerImage = mean
      deviation = (squares / Double(values.count)).squareRoot()
      imagesPerSecond = Double(seconds.count) / mean
      (trials, self.warmup, self.batch) = (seconds[0].count, warmup, batch)
    }
  }

  struct Evaluations: Codable {
    var mean: Double
    var least: Int
    var most: Int
    var count: Int

    init(_ found: [Int]) {
      mean = Double(found.reduce(0, +)) / Double(found.count)
      (least, most, count) = (found.min() ?? 0, found.max() ?? 0, found.count)
    }
  }

  var time: Time?
  var evaluations: Evaluations?
  var model: String
  var modelHash: String
  var solver: String
  var guidance: String
  var seed: UInt64
  var ranks: Int
  var threadsPerRank: Int
  var version: String

  init(_ loaded: LoadedModel, _ plan: SamplingPlan, _ job: Job) {
    (model, modelHash) = (loaded.file, loaded.hash)
    (solver, guidance, seed) = (plan.solver.description, plan.guidanceText, plan.seed)
    (ranks, threadsPerRank) = (job.communicator.size, job.threads)
    version = LatentFlow.version
  }

  var json: String { reportJSON(self) }

  var text: String {
    var lines: [String] = []
    if let time {
      lines.append(
        String(
          format: "time per image  %.4g ± %.2g s on a rank, %.4g images/s on all",
          time.secondsPerImage, time.deviation, time.imagesPerSecond))
      lines.append(
        "                \(time.trials) batches of \(time.batch) on each of \(ranks) ranks, "
          + "\(time.warmup) before them left out")
    }
    if let evaluations {
      lines.append(
        String(
          format: "NFE             %.2f mean, %d to %d over %d samples", evaluations.mean,
          evaluations.least, evaluations.most, evaluations.count))
    }
    lines.append("\(solver); guidance \(guidance); seed \(seed)")
    return lines.joined(separator: "\n") + "\n"
  }
}

/// Indented JSON with sorted snake-case keys and a line's end.
func reportJSON(_ report: some Encodable) -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  encoder.keyEncodingStrategy = .convertToSnakeCase
  return ((try? encoder.encode(report)).map { String(decoding: $0, as: UTF8.self) } ?? "{}") + "\n"
}
