import Diagnostics
import FlowData
import FlowMetrics
import FlowModels
import Foundation
import RunFormat
import Worker

/// Evaluation while training (`evaluation.every`): on the same ranks and with the same noise each
/// time, so that the figures of a run differ by its parameters alone. A figure equals that of
/// `latentflow evaluate` on the step's checkpoint, with the run's seed and these settings.
final class TrainingEvaluation {
  /// What a grid shows of the samples.
  private static let shownCount = 64
  /// Kind of the events that carry the figures.
  private static let eventKind = "evaluation"

  private let config: EvaluationConfig
  private let run: TrainingRun<RunConfig>
  private let averaged: AveragedSampling
  private let extractor: FeatureExtractor
  private let features: FeatureRun
  private let itemSize: Int
  /// On rank 0.
  private let reference: CovarianceFactor?

  /// nil where none is wanted. Collective: computes the reference's moments, or reads them.
  ///
  /// - Throws: `UserError` for a reference that does not serve.
  init?(
    _ config: RunConfig, _ run: TrainingRun<RunConfig>, _ averaged: AveragedSampling
  ) throws {
    guard config.evaluation.every > 0 else { return nil }
    (self.config, self.run, self.averaged) = (config.evaluation, run, averaged)
    let judge = config.evaluation.features
    extractor = try run.job.communicator.together {
      try FeatureExtractor(
        inception: judge.kind == .inception ? judge.path : nil,
        autoencoder: judge.kind == .autoencoder ? judge.path : nil,
        firstStage: averaged.firstStage,
        orThrow: UserError(
          .config, "evaluation.features", found: "no network to judge by",
          expected: "the path of an autoencoder, or of Inception weights"))
    }
    let plan = averaged.plan(
      config.evaluation.solver, steps: config.evaluation.steps,
      guidance: config.evaluation.guidance, labels: .uniform(classes: config.model.classes))
    itemSize = plan.itemSize
    features = FeatureRun(
      extractor, Sampler(averaged.network, averaged.firstStage, plan), PixelPipeline())
    let known = try Self.readReference(config.evaluation, run, extractor)
    reference = known.map { CovarianceFactor($0.moments) }
  }

  /// Collective: on rank 0 the moments that samples are compared with. Features of a data set stay
  /// in the run folder, for a run that goes on.
  private static func readReference(
    _ config: EvaluationConfig, _ run: TrainingRun<RunConfig>, _ extractor: FeatureExtractor
  ) throws -> ReferenceStatistics? {
    guard let path = config.reference else { return nil }
    if ReferenceStatistics.isFile(path) {
      return try run.job.communicator.together {
        run.job.isCoordinator
          ? try ReferenceStatistics(file: path, dimension: extractor.dimension) : nil
      }
    }
    let images = try run.job.communicator.together {
      try ReferenceImages(path, size: config.referenceSize, count: config.referenceCount)
    }
    return try images.features(
      FeatureWork(job: run.job, extractor: extractor, patches: nil), folder: folder(of: run),
      itemSize: StatisticsCommand.itemSize)
  }

  private static func folder(of run: TrainingRun<RunConfig>) -> String {
    "\(run.folder.path)/evaluations"
  }

  /// Collective: the figure of the finished step, if it is one of those to be judged.
  func evaluate(ifDueAt step: Int) throws {
    guard step > 0, step % config.every == 0 else { return }
    try averaged.update(to: step)
    // Features of other parameters must not be taken for this step's.
    let folder = "\(Self.folder(of: run))/step"
    let rows = try run.job.communicator.together { () -> RowFile? in
      guard run.job.isCoordinator else { return nil }
      try Disk.local.remove(folder)
      return try RowFile(
        folder: folder, rowBytes: FeatureRow.bytes(dimension: extractor.dimension),
        itemRows: itemSize, count: config.count)
    }
    var shown: [Int: ImageBuffer] = [:]
    let clock = ContinuousClock()
    let begin = clock.now
    try features.run(
      into: rows, run.job.communicator, sending: 0..<Self.shownCount,
      picture: { shown[$0] = $1 },
      progress: { _ in })
    try run.job.communicator.together {
      guard let rows, let reference else { return }
      let (found, evaluations) = try rows.features(dimension: extractor.dimension)
      let distance = frechetDistance(CovarianceFactor(momentsOf(found)), reference)
      try Disk.local.remove(folder)
      try log(
        distance, step: step, seconds: (clock.now - begin).seconds,
        evaluations: Double(evaluations.reduce(0, +)) / Double(config.count))
      let images = shown.sorted { $0.key < $1.key }.map(\.value)
      try run.grid("eval/samples", images, step: step, prefix: "evaluation")
    }
  }

  /// Collective: the figure of the step that a run goes on from, unless its events have it: a
  /// signal in that step left between checkpoint and evaluation.
  func evaluate(ifMissingAt step: Int) throws {
    guard step > 0, step % config.every == 0 else { return }
    let known = try run.job.communicator.together {
      guard run.job.isCoordinator else { return false }
      return try EventLog.read(run.folder.eventsPath).contains {
        $0.kind == Self.eventKind && $0.fields["step"] == .integer(step)
      }
    }
    let missing = try run.job.communicator.allReduce([known ? 0 : 1], .min)[0] == 1
    if missing { try evaluate(ifDueAt: step) }
  }

  /// On rank 0.
  private func log(
    _ distance: Double, step: Int, seconds: Double, evaluations: Double
  ) throws {
    let tag = extractor.isInception ? "eval/fid" : "eval/frechet_autoencoder"
    try run.scalar(tag, distance, step: step)
    try run.event(
      Self.eventKind,
      [
        "step": .integer(step), "figure": .string(extractor.distanceName),
        "value": .number(distance), "count": .integer(config.count),
        "evaluations_mean": .number(evaluations), "seconds": .number(seconds),
      ])
    run.say(
      "step \(step): \(extractor.distanceName) \(String(format: "%.4g", distance)) "
        + "(\(config.count) samples, \(String(format: "%.1f", seconds)) s)")
  }
}
