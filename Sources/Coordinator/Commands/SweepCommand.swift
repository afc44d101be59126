import ArgumentParser
import Diagnostics
import FlowCore
import FlowData
import FlowTensor
import Foundation
import Worker

/// `latentflow sweep`
struct SweepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep",
    abstract: "Compares solvers, steps and guidance scales: distance, evaluations, images/s.",
    discussion: """
      All rows start from the same noise and labels. DIR gets sweep.json, sweep.txt and sweep.png, a
      plot of distance against evaluations of the field (NFE). A sweep that was killed goes on: the
      rows of sweep.json are kept, and within a row the finished items.

      Example:
        scripts/run.sh 2 latentflow sweep runs/demo --solvers euler,heun,dopri5 \\
          --steps 5,10,20 --guidance 1,2 --count 512 --reference data/shapes-heldout --out sweep
      """)

  @Argument(help: "A run folder, a checkpoint folder, or a weights file.")
  var model: String
  @Option(help: "Between commas: \(SolverKind.all.map(\.name).joined(separator: ", ")).")
  var solvers: String
  @Option(help: "Numbers of steps of methods without error control, as 5,10,20.")
  var steps = "10,20,40"
  @Option(help: "Tolerances, relative and absolute, of adaptive methods.")
  var tolerances = "1e-2,1e-3,1e-5"
  @Option(help: "Scales of classifier-free guidance, as 1,2.")
  var guidance = "1"
  @Option(help: "Samples of a row.")
  var count: Int
  @Option(help: "Folder of the results.")
  var out: String
  @OptionGroup var judging: ReferenceOptions
  @OptionGroup var drawing: DrawOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard count > 1 else { throw ValidationError("--count \(count): expected at least 2.") }
    guard judging.reference != nil else { throw ValidationError("give --reference.") }
    _ = try sweep()
  }

  private func sweep() throws -> SolverSweep {
    let kinds = try solvers.split(separator: ",").map { word in
      guard let kind = SolverKind.named(String(word)) else {
        let names = SolverKind.all.map(\.name)
        let near = nearestName(to: String(word), among: names)
        throw ValidationError(
          "--solvers \(word): unknown"
            + (near.map { "; did you mean \($0)?" }
              ?? "; expected \(names.joined(separator: ", "))."))
      }
      return kind
    }
    let steps = try list("--steps", steps, "1 or more") { $0 >= 1 && $0 == $0.rounded() }
    return SolverSweep(
      solvers: kinds, steps: steps.map { Int($0) },
      tolerances: try list("--tolerances", tolerances, "above 0") { $0 > 0 },
      guidance: try list("--guidance", guidance, "0 or more") { $0 >= 0 }.map { Float($0) })
  }

  private func list(
    _ option: String, _ text: String, _ expected: String, _ holds: (Double) -> Bool
  ) throws -> [Double] {
    guard let values = numbers(text), !values.isEmpty, values.allSatisfy(holds) else {
      throw ValidationError("\(option) \(text): expected numbers between commas, \(expected).")
    }
    return values
  }

  func run() throws {
    try Job.run(threading) { job in
      let sweep = try sweep()
      let loaded = try drawing.load(model, job)
      let (extractor, plan) = try job.communicator.together {
        if job.isCoordinator { try Preflight.requireWritableFolder(out) }
        try judging.requireFit(loaded)
        let largest = sweep.guidance.first { $0 != 1 } ?? 1
        return (
          try judging.judging.extractor(firstStage: loaded.firstStage),
          try drawing.plan(
            loaded, sweep.settings[0].sampler, guidance: Double(largest), option: "--guidance")
        )
      }
      let work = FeatureWork(
        job: job, extractor: extractor, patches: judging.judging.patches)
      let figures = try FigureOptions.parse([])
      let known = try judging.read(work, figures, items: "\(out)/work", count: count)
      let measure = SweepRun(
        work: work, loaded: loaded, pixels: judging.pixels, count: count,
        trained: drawing.noEma, folder: out)
      let report = try measure(sweep, plan, figures, known)
      try job.communicator.together {
        guard let report else { return }
        try report.plot.draw().writePNG(to: "\(out)/sweep.png")
        _ = try Disk.local.writeAtomically(Array(report.text.utf8), to: "\(out)/sweep.txt")
        try Disk.local.remove("\(out)/work")
        try StandardOutput.write(
          output.json ? report.json : report.text + "plot: \(out)/sweep.png\n")
      }
    }
  }
}

/// The rows of a sweep, one after another over all ranks.
struct SweepRun {
  let work: FeatureWork
  let loaded: LoadedModel
  let pixels: PixelPipeline
  let count: Int
  let trained: Bool
  /// Holds sweep.json and, while it runs, the items of a row.
  let folder: String

  /// Collective: the report, on rank 0.
  func callAsFunction(
    _ sweep: SolverSweep, _ plan: SamplingPlan, _ figures: FigureOptions,
    _ reference: ReferenceStatistics?
  ) throws -> SweepReport? {
    let path = "\(folder)/sweep.json"
    let compute = reference.map {
      FigureComputation(
        extractor: work.extractor, patches: work.patches, options: figures, reference: $0,
        itemRows: plan.itemSize * (work.patches?.perImage ?? 1), seed: plan.seed)
    }
    var report = reference.flatMap { reference in
      compute.map {
        SweepReport(
          loaded, plan, count: count, pixels, work, reference, distanceName: $0.distanceName,
          trained: trained)
      }
    }
    if let earlier = SweepReport.read(path) { report?.adopt(earlier) }
    let kept = report?.rows ?? []
    report?.rows = []
    let total = sweep.settings.count
    _ = try sweep.rows(plan) { setting, plan in
      let key = loaded.key(plan, pixels, work, trained: trained)
      let old = kept.first { $0.key == key }
      // Rank 0 alone knows the rows that are there.
      let isThere = try work.job.communicator.allReduce([old == nil ? 0 : 1], .max)[0] == 1
      let row = try isThere ? old : measure(setting, plan, key, compute, of: total)
      try work.job.communicator.together {
        guard let row else { return }
        report?.rows.append(row)
        _ = try Disk.local.writeAtomically(Array((report?.json ?? "").utf8), to: path)
      }
    }
    return report
  }

  private func measure(
    _ setting: SolverSweep.Setting, _ plan: SamplingPlan, _ key: String,
    _ compute: FigureComputation?, of total: Int
  ) throws -> SweepReport.Row? {
    let sampler = Sampler(loaded.network, loaded.firstStage, plan)
    let clock = ContinuousClock()
    var microseconds: Int64 = 0
    var items: Int64 = 0
    let features = FeatureRun(work.extractor, patches: work.patches) { k in
      let begin = clock.now
      let sampled = try sampler(item: k)
      microseconds += Int64((clock.now - begin).seconds * 1e6)
      items += 1
      return PictureItem(
        try pixels(sampled.images), labels: sampled.labels, evaluations: sampled.evaluations)
    }
    let done = try work.run(
      features, folder: "\(folder)/work/\(key)", itemSize: plan.itemSize, count: count,
      "\(setting.solver), \(setting.text), cfg \(setting.guidance)")
    let sums = try work.job.communicator.allReduce([microseconds, items], .sum)
    return try work.job.communicator.together { () -> SweepReport.Row? in
      guard let rows = done.rows, let compute else { return nil }
      let (values, evaluations) = try rows.features(dimension: work.extractor.dimension)
      let distance = compute.frechet(values)
      // Seconds that a rank takes for an image, all ranks drawing at once.
      let seconds = Double(sums[0]) * 1e-6 / Double(max(1, sums[1]) * Int64(plan.itemSize))
      return SweepReport.Row(
        solver: setting.solver, setting: setting.text, guidance: setting.guidance,
        distance: distance.value, lower: distance.lower, upper: distance.upper,
        evaluationsMean: Double(evaluations.reduce(0, +)) / Double(evaluations.count),
        imagesPerSecond: seconds > 0 ? Double(work.job.communicator.size) / seconds : 0,
        key: key)
    }
  }
}
