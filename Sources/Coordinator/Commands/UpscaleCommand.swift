import ArgumentParser
import Diagnostics
import FlowComm
import FlowData
import Foundation
import RunFormat
import Worker

/// `latentflow upscale`
struct UpscaleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "upscale",
    abstract: "Enlarges pictures by a model for up-sampling, or a cascade of them, over all ranks.",
    discussion: """
      The model: a run, a checkpoint, a weights file, a configuration of FMBoost with --weights, or
      a cascade's YAML file (docs/upscaling.md). Pictures: files, folders, KIND:PATH#PART, of any
      size; --out gets a PNG under each one's name, and upscale.json, which says how they were made.
      Picture i has the same bits whatever the number of ranks.

      Examples:
        scripts/run.sh 2 latentflow upscale runs/upscale photo.jpg --out large
        latentflow upscale cascade.yaml photos --to 1024 --steps 20 --out large --grid grid.png
        latentflow upscale runs/upscale --latents sdxl.safetensors --latents-scaled --out large
        latentflow upscale unet-base_psu.yaml --weights last.ckpt --autoencoder sd_ae.ckpt \\
          photo.png --out large
      """)

  @Argument(help: "A run folder, a checkpoint folder, a weights file, or a YAML file.")
  var model: String
  @Argument(help: "Pictures: files, folders, and other sets, KIND:PATH#PART.")
  var images: [String] = []
  @Option(help: "Short side of the results in pixels. (default: after all stages)")
  var to: Int?
  @Option(help: "Begin with the cascade's stage that begins at this side.")
  var from: Int?
  @OptionGroup var solving: UpscaleSolverOptions
  @OptionGroup var latents: LatentOptions
  @OptionGroup var results: UpscaleResultOptions
  @OptionGroup var seeding: SeedOptions
  @Option(help: "The weights of a configuration of FMBoost.")
  var weights: String?
  @Option(help: "The first stage, if it has moved since training.")
  var autoencoder: String?
  @Flag(help: "Use the trained parameters rather than their running average.")
  var noEma = false
  @Option(help: "Turn pictures as their EXIF notes say (apply), or not (ignore).")
  var exif = ExifPolicy.ignore
  @OptionGroup var memory: MemoryOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard images.isEmpty != (latents.latents == nil) else {
      throw ValidationError("give either pictures or --latents PATH.")
    }
    for (option, value) in [("--to", to), ("--from", from)] {
      if let value, !(1...maximumImageSide).contains(value) {
        throw ValidationError("\(option) \(value): expected 1 to \(maximumImageSide).")
      }
    }
  }

  func run() throws {
    try Job.run(threading) { job in
      let (cascade, input, stages) = try job.communicator.together {
        let cascade = try Cascade(
          model, start: from, weights: weights, autoencoder: autoencoder, averaged: !noEma,
          warn: job.isCoordinator)
        if job.isCoordinator { try results.checkPlaces() }
        return (
          cascade, try UpscaleInput(images, latents, exif: exif, cascade),
          try cascade.upscalingStages(solving, seed: seeding.seed ?? 0)
        )
      }
      let sizes = try input.sizes(job, cascade.firstStage)
      let upscaler = try job.communicator.together {
        let plan = try UpscalingPlan(sizes, cascade.extents, target: to, place: input.place)
        let upscaler = Upscaler(
          stages, cascade.firstStage.within(memory.memory), input.input, plan,
          lowCount: results.grid == nil ? 0 : UpscaleResultOptions.gridRows)
        try upscaler.checkNetworks()
        return upscaler
      }
      let done = UpscaleResults(results, input.names)
      try upscaler.run(job.communicator) { try done.take($0) }
      try job.communicator.together {
        guard job.isCoordinator else { return }
        let record = record(
          cascade, stages, input, upscaler.plan, done, ranks: job.communicator.size)
        try done.finish(record)
        try StandardOutput.write(output.json ? record.json : record.summary(results))
      }
    }
  }

  private func record(
    _ cascade: Cascade, _ stages: [UpscalingStage], _ input: UpscaleInput, _ plan: UpscalingPlan,
    _ done: UpscaleResults, ranks: Int
  ) -> UpscaleRecord {
    let seconds = done.seconds
    return UpscaleRecord(
      stages: zip(cascade.stages, stages).map { UpscaleRecord.Stage($0, $1.plan) },
      autoencoderHash: cascade.firstStage.hash, seed: seeding.seed ?? 0, to: to,
      latentsScaled: latents.latents == nil ? nil : latents.latentsScaled,
      pictures: plan.tasks.enumerated().map { i, task in
        UpscaleRecord.Picture(
          name: input.names[i], source: input.place(i), width: task.size.width,
          height: task.size.height, resultWidth: task.result.width,
          resultHeight: task.result.height, stages: task.stages,
          evaluations: done.evaluations[i] ?? 0)
      }, seconds: seconds, imagesPerSecond: Double(input.count) / seconds, ranks: ranks,
      version: LatentFlow.version)
  }
}
