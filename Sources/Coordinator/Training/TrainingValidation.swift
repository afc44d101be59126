import Diagnostics
import FlowData
import FlowMetrics
import Foundation
import RunFormat
import Worker

/// Validation while training (`validation.every`): held-out pictures made small and up-sampled, on
/// all ranks and from the same noise each time, compared with what they were.
final class TrainingValidation {
  /// Pictures of a grid.
  private static let shownCount = 16
  private static let itemSize = 16

  private let config: ValidationConfig
  private let run: TrainingRun<RunConfig>
  private let averaged: AveragedSampling
  private let validation: UpsamplingValidation
  private let pairs: SmallImages
  private let extractor: FeatureExtractor?
  private let plan: SamplingPlan

  /// nil where none is wanted. Collective.
  ///
  /// - Throws: `UserError` for pictures that do not serve.
  init?(
    _ config: RunConfig, _ run: TrainingRun<RunConfig>, _ averaged: AveragedSampling,
    _ trainer: Trainer, _ data: RunData
  ) throws {
    guard config.validation.every > 0 else { return nil }
    (self.config, self.run, self.averaged) = (config.validation, run, averaged)
    let c = config.validation
    plan = averaged.plan(
      c.solver, steps: c.steps, guidance: 1, labels: .none, itemSize: Self.itemSize)
    (pairs, extractor) = try run.job.communicator.together {
      let pairs = try c.pairs(averaged.firstStage, data, scale: averaged.scale)
      return (pairs, try c.extractor(averaged.firstStage))
    }
    validation = UpsamplingValidation(
      c.averaged ? averaged.network : trainer.network, averaged.firstStage, plan, pairs,
      judge: extractor.map { ($0, c.patches!) }, shownCount: Self.shownCount)
  }

  /// Collective.
  func validate(ifDueAt step: Int) throws {
    guard step > 0, step % config.every == 0 else { return }
    if config.averaged { try averaged.update(to: step) }
    let found = try validation.run(run.job.communicator)
    try run.job.communicator.together {
      guard run.job.isCoordinator else { return }
      let report = try ValidationReport(
        found, pairs, solver: plan.solver.description, extractor: extractor)
      try log(report, step: step)
      if let grid = ImageGrid.comparison(found) {
        try run.picture(
          "validation", grid, step: step,
          file: "\(run.folder.samplesPath)/validation-\(String(format: "%08d", step)).png")
      }
    }
  }

  /// On rank 0.
  private func log(_ report: ValidationReport, step: Int) throws {
    let figures = [
      ("psnr", report.model.peakSignalToNoise), ("ssim", report.model.structuralSimilarity),
      ("mse", report.model.meanSquaredError), ("sharpness", report.model.sharpness),
    ] + report.patchDistance.map { _ in ("patch_frechet", report.patchDistance.values.first!) }
    for (name, value) in figures { try run.scalar("validation/\(name)", value, step: step) }
    var fields = Dictionary(
      uniqueKeysWithValues: figures.map { ($0.0, EventValue.number($0.1)) })
    fields["step"] = .integer(step)
    fields["count"] = .integer(report.count)
    fields["bicubic_psnr"] = .number(report.bicubic.peakSignalToNoise)
    try run.event("validation", fields)
    run.say("step \(step): \(report.summary)")
  }
}

extension ValidationConfig {
  /// The held-out pictures, and the same made small.
  fileprivate func pairs(
    _ stage: FirstStage, _ data: RunData, scale: Float
  ) throws -> SmallImages {
    let source = try PreparedImages(openImageSource(images!), fit: size.map { .centerCrop($0) })
    guard let low = lowSize ?? data.description.lowResolution?.size else {
      throw UserError(
        .config, "validation.low_size", found: "null, and the data do not say it",
        expected: "the short side of the small pictures")
    }
    let pairs = try SmallImages(source, lowSize: low, stage, scale: scale, count: count)
    if let patchSize, let side = try [source.size(0)].map({ min($0.width, $0.height) }).first,
      patchSize > side
    {
      throw UserError(
        .config, "validation.patch_size", found: "\(patchSize) for pictures of \(side) pixels",
        expected: "at most \(side)")
    }
    return pairs
  }

  fileprivate var patches: PatchCrops? {
    patchSize.map { PatchCrops(size: $0, perImage: patchesPerImage, seed: 0) }
  }

  fileprivate func extractor(_ stage: FirstStage) throws -> FeatureExtractor? {
    guard patchSize != nil else { return nil }
    return try FeatureExtractor(
      inception: features.kind == .inception ? features.path : nil,
      autoencoder: features.kind == .autoencoder ? features.path : nil, firstStage: stage,
      orThrow: UserError(
        .config, "validation.features", found: "no network to judge by",
        expected: "the path of an autoencoder, or of Inception weights"))
  }
}
