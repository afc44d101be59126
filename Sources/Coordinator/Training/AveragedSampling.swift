import FlowCore
import FlowData
import Foundation
import Worker

/// What draws samples while training: a copy of the network with the averaged parameters, and the
/// first stage. Training's own bits do not notice.
final class AveragedSampling {
  let network: Network
  let firstStage: FirstStage
  private let config: RunConfig
  private let trainer: Trainer
  let scale: Float
  private var copiedStep = -1

  /// nil where no samples are wanted. Collective.
  init?(
    _ config: RunConfig, _ run: TrainingRun<RunConfig>, _ trainer: Trainer, _ data: RunData
  ) throws {
    let tasks = [config.samples.every, config.evaluation.every, config.validation.every]
    guard tasks.contains(where: { $0 > 0 }) else { return nil }
    (self.config, self.trainer, scale) = (config, trainer, Float(data.scale))
    network = Network(
      trainer.network.specification, rescaler: trainer.network.rescaler?.configuration)
    network.store.allocate(training: false)
    firstStage = try run.job.communicator.together { try config.firstStage.open() }
  }

  /// Noise is a function of the run's seed and the sample's index: the same at every step.
  func plan(
    _ solver: SamplesConfig.Solver, steps: Int, guidance: Double, labels: LabelChoice,
    itemSize: Int = SamplingPlan.standardItemSize
  ) -> SamplingPlan {
    SamplingPlan(
      seed: config.seed, solver: solver.sampler(steps: steps), guidance: Float(guidance),
      labels: config.model.classes > 0 ? labels : .none, path: config.path.path, scale: scale,
      coupling: config.coupling.coupling, itemSize: itemSize)
  }

  /// Collective: brings the copy to the parameters after `step`.
  func update(to step: Int) throws {
    guard step != copiedStep else { return }
    network.store.copyValues(from: try trainer.optimizer.averagedParameters())
    copiedStep = step
  }
}

/// Sample grids while training (`samples.every`), drawn with the averaged parameters on all ranks.
final class SamplePictures {
  private let config: SamplesConfig
  private let run: TrainingRun<RunConfig>
  private let averaged: AveragedSampling
  private let sampler: Sampler

  /// nil where none are wanted.
  init?(_ config: RunConfig, _ run: TrainingRun<RunConfig>, _ averaged: AveragedSampling) {
    guard config.samples.every > 0 else { return nil }
    (self.config, self.run, self.averaged) = (config.samples, run, averaged)
    sampler = Sampler(
      averaged.network, averaged.firstStage,
      averaged.plan(
        config.samples.solver, steps: config.samples.steps, guidance: config.samples.guidance,
        labels: .cycle(Array(0..<config.model.classes))))
  }

  /// Collective.
  func draw(ifDueAt step: Int) throws {
    guard step % config.every == 0 else { return }
    try averaged.update(to: step)
    let images = try sampler.images(count: config.count, run.job.communicator)
    try run.job.communicator.together {
      guard let images else { return }
      try run.grid("samples", images.map(\.image), step: step)
    }
  }
}

extension TrainingRun {
  /// On rank 0: a square grid for the run's `samples` folder, and the board under `tag`.
  func grid(_ tag: String, _ images: [ImageBuffer], step: Int, prefix: String = "step") throws {
    let columns = Int(Double(images.count).squareRoot().rounded(.up))
    try picture(
      tag, ImageGrid(columns: columns).compose(images), step: step,
      file: "\(folder.samplesPath)/\(prefix)-\(String(format: "%08d", step)).png")
  }
}
