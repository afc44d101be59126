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
        mpirun -np 8 latentflow sample runs/demo --count 50000 --npz samples.npz
        latentflow sample runs/demo --count 16 --labels 3 --solver dopri5 --rtol 1e-4 --out s
        latentflow sample test_args/celeb256_dit.txt --weights model_475.pth \\
          --autoencoder sd-vae-ft-mse --count 16 --grid faces.png
        latentflow sample runs/demo --count 16 --solver heun --sde sigma --steps 50 --out s
        latentflow sample runs/demo --interpolate 0,1 --interpolate 2,3 --strip between.png
        latentflow sample runs/demo --count 3 --trajectory way.png --solver euler --steps 32
      """)

  @Argument(
    help: "A run folder, a checkpoint folder, a weights file, or an argument file of LFM.")
  var model: String
  @Option(help: "Number of samples.")
  var count = 1
  @Option(help: "A new or empty folder for single PNGs.")
  var out: String?
  @Option(help: "All samples as one batch of the ADM suite: arr_0 pixels, arr_1 labels.")
  var npz: String?
  @Option(help: "A PNG with all samples, row by row.")
  var grid: String?
  @Option(help: "Columns of the grid. (default: a square)")
  var columns: Int?
  @OptionGroup var strips: StripOptions
  @OptionGroup var sampling: SamplingOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard count > 0 else { throw ValidationError("--count \(count): expected at least 1.") }
    guard out != nil || grid != nil || npz != nil || strips.isAsked else {
      throw ValidationError(
        "give one or more of --out FOLDER, --grid, --npz, --strip and --trajectory FILE.")
    }
    if let columns, columns < 1 {
      throw ValidationError("--columns \(columns): expected at least 1.")
    }
  }

  func run() throws {
    try Job.run(threading) { job in
      let (loaded, plan) = try sampling.prepare(model, job)
      try job.communicator.together {
        guard job.isCoordinator else { return }
        if let out { try Preflight.requireEmptyOrNew(out) }
        for file in [grid, npz].compactMap(\.self) {
          try Preflight.requireWritableFolder(parentFolder(of: file))
        }
        try strips.checkPlaces()
      }
      try strips.draw(job, loaded, plan, count: count)
      if out != nil || grid != nil || npz != nil { try draw(job, loaded, plan) }
    }
  }

  private func draw(_ job: Job, _ loaded: LoadedModel, _ plan: SamplingPlan) throws {
    let progress = PictureProgress(of: count, interval: plan.itemSize)
    var done: [FinishedSample] = []
    try Sampler(loaded.network, loaded.firstStage, plan).run(count: count, job.communicator) {
      sample in
      if let out {
        try sample.image.writePNG(to: "\(out)/\(fileName(sample.index))")
      }
      done.append(sample)
      progress.update(done.count)
    }
    let seconds = progress.seconds
    try job.communicator.together {
      guard job.isCoordinator else { return }
      progress.finish()
      done.sort { $0.index < $1.index }
      let record = SamplingRecord(
        loaded, plan, done, seconds: seconds, ranks: job.communicator.size)
      try write(done, record)
      try StandardOutput.write(
        output.json ? record.json : record.summary(out: out, grid: grid, npz: npz))
    }
  }

  private func write(_ samples: [FinishedSample], _ record: SamplingRecord) throws {
    if let grid {
      let width = columns ?? Int(Double(samples.count).squareRoot().rounded(.up))
      try ImageGrid(columns: width).compose(samples.map(\.image)).writePNG(to: grid)
    }
    if let npz { try SampleBatch.write(samples, to: npz) }
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

/// The sample batches that the evaluation suite of ADM (Dhariwal & Nichol 2021) reads.
enum SampleBatch {
  /// Writes arr_0, uint8 [N, H, W, 3], and for labelled samples arr_1, int64 [N].
  static func write(_ samples: [FinishedSample], to path: String) throws {
    let size = samples[0].image.size
    var arrays: [NumPyWriter.Array] = [
      .init(
        "arr_0", [samples.count, size.height, size.width, 3],
        bytes: samples.flatMap(\.image.pixels))
    ]
    let labels = samples.compactMap(\.label)
    if labels.count == samples.count {
      arrays.append(.init("arr_1", [labels.count], ints: labels.map { Int64($0) }))
    }
    try NumPyWriter.write(arrays, toArchive: path)
  }
}
