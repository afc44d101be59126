import ArgumentParser
import Diagnostics
import FlowComm
import FlowData
import FlowTensor
import FlowModels
import Foundation
import Worker

/// `latentflow train-autoencoder`
struct TrainAutoencoderCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train-autoencoder",
    abstract: "Trains a first stage (AutoencoderKL) on a folder of images.",
    discussion: """
      Example:
        scripts/run.sh 2 latentflow train-autoencoder configs/shapes-autoencoder.yaml \\
          --run runs/autoencoder --out models/shapes-autoencoder
      """)

  @OptionGroup var configArguments: ConfigArguments
  @OptionGroup var threading: ThreadOptions

  @OptionGroup var runOptions: RunOptions

  @Option(help: "Folder for the finished autoencoder. (default: RUN/autoencoder)")
  var out: String?

  func run() throws {
    let config = try configArguments.load(
      AutoencoderRunConfig.self, shortcuts: runOptions.shortcuts)
    try Job.run(threading) { job in
      let run = try TrainingRun(
        job, config, overrides: configArguments.overrides + runOptions.shortcuts, runOptions)
      let source = try config.openImages(job, run: runOptions.folder)
      let trainer = try config.trainer(source, job.communicator, threads: job.threads)
      try run.resume(
        trainer.optimizer, runOptions.policy, tensorBoard: config.log.tensorboard)
      try run.loop(
        trainer.optimizer, total: config.training.steps, batch: trainer.batchSize,
        logEvery: config.log.every, saveEvery: config.checkpoint.every,
        stopAt: runOptions.stopAt,
        step: { try trainer.step(requests: $0) },
        save: {
          try trainer.optimizer.save(
            to: run.checkpoints, seed: config.seed, configHash: config.fingerprint,
            metadata: ["autoencoder": config.network.json], fields: [:],
            keep: config.checkpoint.keep)
        })
      try finish(run, trainer, config, source)
    }
  }

  /// The autoencoder as a file of its own, with the scale of its latents, and a picture of
  /// originals beside reconstructions.
  private func finish(
    _ run: TrainingRun<AutoencoderRunConfig>, _ trainer: AutoencoderTrainer,
    _ config: AutoencoderRunConfig, _ source: any ImageSource
  ) throws {
    let averaged = try trainer.optimizer.averagedParameters()
    let folder = out ?? "\(runOptions.folder)/autoencoder"
    try run.job.communicator.together {
      trainer.store.copyValues(from: averaged)
      guard run.job.isCoordinator else { return }
      var network = config.network
      network.scaleFactor = try trainer.latentScale(count: 1024)
      try Disk.local.createFolders(folder)
      let file = "\(folder)/model.safetensors"
      _ = try SafetensorsWriter.writeAtomically(
        parameterTensors(of: trainer.store, in: trainer.store.values!.base),
        metadata: ["autoencoder": network.json, "steps": "\(trainer.optimizer.step)"], to: file)
      _ = try Disk.local.writeAtomically(Array(config.yaml.utf8), to: "\(folder)/recipe.yaml")
      let pairs = try (0..<min(16, source.count)).map { try source.image($0) }
      let decoded = trainer.network.decode(trainer.network.encode(tensor(of: pairs)).mode)
      try run.picture(
        "autoencoder/reconstructions",
        ImageGrid(columns: 8).compose(pairs + images(of: decoded)), step: trainer.optimizer.step,
        file: "\(run.folder.samplesPath)/reconstructions.png")
      run.say("autoencoder: \(file)  (scale \(network.scaleFactor))")
      run.say("reconstructions: \(run.folder.samplesPath)/reconstructions.png")
    }
  }
}

extension AutoencoderRunConfig {
  /// Collective: the pictures to train on. Which of them are broken is found once: the list in the
  /// folder of the run holds until its end, so that its epochs never change.
  func openImages(_ job: Job, run folder: String) throws -> any ImageSource {
    var base = try job.communicator.together { try openImageSource(data.images) }
    if data.broken == .skip { base = try job.withoutBroken(base, listIn: folder, reusing: true) }
    return try job.communicator.together {
      try PreparedImages(base, Preparation(fit: .centerCrop(data.size), exif: data.exif))
    }
  }

  /// Collective: what this configuration trains, on `source`.
  public func trainer(
    _ source: any ImageSource, _ communicator: any Communicator, threads: Int
  ) throws -> AutoencoderTrainer {
    try AutoencoderTrainer(
      network, plan: plan, settings: .init(training, optimizer, ema, threads: threads),
      source: source, communicator: communicator)
  }

  /// The scale factor is not known before training: 1 until then.
  var network: AutoencoderKL.Configuration {
    AutoencoderKL.Configuration(
      inChannels: 3, latentChannels: model.latentChannels,
      blockChannels: model.multipliers.map { $0 * model.channels }, layersPerBlock: model.blocks,
      groups: model.groups, midAttention: true, scaleFactor: 1)
  }

  var plan: AutoencoderTrainer.Plan {
    AutoencoderTrainer.Plan(
      seed: seed, microBatchSize: training.microBatch, flip: Float(data.flip),
      klWeight: Float(loss.klWeight), learningRate: optimizer.learningRate,
      schedule: schedule.schedule(steps: training.steps, learningRate: optimizer.learningRate))
  }
}
