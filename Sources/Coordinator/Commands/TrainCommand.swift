import ArgumentParser
import Diagnostics
import FlowCore
import FlowData
import FlowTensor
import Foundation
import RunFormat
import Worker

/// `latentflow train`
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Trains a flow-matching model on a latent cache, or on pictures, over all ranks.",
    discussion: """
      USR1 and TERM: checkpoint and leave with exit status 75; the same command goes on. USR2:
      checkpoint and go on. The parameters do not depend on the number of ranks (a power of two).

      Examples:
        scripts/run.sh 2 latentflow train configs/shapes-dit-demo.yaml --run runs/demo
        latentflow train configs/shapes-dit.yaml optimizer.lr=1e-4 --run runs/one
        latentflow train configs/shapes-dit.yaml data.cache=null data.images=photos data.size=64 \\
          --run runs/photos
        latentflow train faces.yaml --weights-only model_475.pth --run runs/faces
      """)

  @OptionGroup var configArguments: ConfigArguments
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var seeding: SeedOptions

  @OptionGroup var runOptions: RunOptions
  @OptionGroup var start: StartOptions

  func run() throws {
    let shortcuts = runOptions.shortcuts + (seeding.seed.map { ["seed=\($0)"] } ?? [])
    let config = try configArguments.load(RunConfig.self, shortcuts: shortcuts)
    try Job.run(threading) { job in
      let data = try RunData(config, job, run: runOptions.folder)
      let specification = try config.model.specification(
        latentShape: data.description.latentShape)
      let run = try TrainingRun(
        job, config, overrides: configArguments.overrides + shortcuts, runOptions)
      let trainer = try config.trainer(job, data, specification)
      try start.load(into: trainer, run)
      // A reference that is no good ends the command before a run has begun.
      let sampled = try AveragedSampling(config, run, trainer, data)
      let evaluation = try sampled.map { try TrainingEvaluation(config, run, $0) } ?? nil
      let validation = try sampled.map {
        try TrainingValidation(config, run, $0, trainer, data)
      } ?? nil
      try run.resume(
        trainer.optimizer, runOptions.policy, tensorBoard: config.log.tensorboard)
      let pictures = sampled.flatMap { SamplePictures(config, run, $0) }
      try evaluation?.evaluate(ifMissingAt: trainer.optimizer.step)
      try run.loop(
        trainer.optimizer, total: config.training.steps, batch: trainer.batchSize,
        logEvery: config.log.every, saveEvery: config.checkpoint.every,
        stopAt: runOptions.stopAt,
        step: { try trainer.step(requests: $0) },
        save: {
          try trainer.optimizer.save(
            to: run.checkpoints, seed: config.seed, configHash: config.fingerprint,
            metadata: config.header(data, step: trainer.optimizer.step).metadata, fields: [:],
            keep: config.checkpoint.keep)
        },
        afterStep: {
          try pictures?.draw(ifDueAt: $0)
          try evaluation?.evaluate(ifDueAt: $0)
          try validation?.validate(ifDueAt: $0)
        })
      run.say("run folder: \(runOptions.folder)")
    }
  }
}

extension RunConfig {
  func trainer(
    _ job: Job, _ data: RunData, _ specification: NetworkSpecification
  ) throws -> Trainer {
    let objective = FlowObjective(
      seed: seed, path: path.path, times: time.sampler,
      labelDropout: model.labelDropout > 0
        ? LabelDropout(
          probability: Float(model.labelDropout), nullLabel: specification.nullLabel!) : nil,
      samplesPosterior: self.data.posterior == .sample, scale: Float(data.scale),
      coupling: coupling.coupling, lowShape: data.description.lowResolution?.latentShape,
      imageFactor: data.imageFactor, rescaler: rescaler)
    let plan = Trainer.Plan(
      objective: objective, microBatchSize: training.microBatch, flip: Float(self.data.flip),
      usesLabels: model.classes > 0, learningRate: optimizer.learningRate,
      schedule: schedule.schedule(steps: training.steps, learningRate: optimizer.learningRate))
    return try Trainer(
      Network(specification, rescaler: rescaler), plan: plan,
      settings: .init(training, optimizer, ema, threads: job.threads),
      count: data.description.count, source: data.source, codec: data.codec,
      communicator: job.communicator)
  }

  func header(_ data: RunData, step: Int) -> ModelFileHeader {
    var stage = ""
    if case .autoencoder(let path) = firstStage.stage { stage = path }
    return ModelFileHeader(
      config: yaml, latentShape: data.description.latentShape, scale: data.scale, step: step,
      classNames: data.description.classNames, firstStage: stage,
      firstStageHash: data.description.autoencoderHash,
      lowShape: coupling.upsampling == nil ? nil : data.description.lowResolution?.latentShape)
  }
}

extension SamplesConfig.Solver {
  func sampler(steps: Int) -> any FlowSampler { SolverKind.named(rawValue)!.sampler(steps: steps) }
}
