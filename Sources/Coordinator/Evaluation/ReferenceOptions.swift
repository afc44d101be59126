import ArgumentParser
import Diagnostics
import FlowData
import FlowMetrics
import FlowTensor
import Foundation
import Worker

/// What samples are compared with, and what happens to their pixels before: what `evaluate` and
/// `sweep` share.
struct ReferenceOptions: ParsableArguments {
  @Option(help: "Statistics (.npz, .npy, .safetensors), or a data set of real images.")
  var reference: String?
  @Option(help: "Real images to use. (default: all)")
  var referenceCount: Int?
  @Option(help: "Crop and scale the real images to this side in pixels.")
  var referenceSize: Int?
  @Option(help: "Samples go through the bytes of a file first: none, png, jpeg.")
  var via = "none"
  @Option(help: "Quality of --via jpeg.")
  var quality = 75
  @Flag(help: "Round levels down, as LFM does, rather than to the nearest.")
  var truncate = false
  @OptionGroup var judging: FeatureOptions

  func validate() throws {
    guard (1...100).contains(quality) else {
      throw ValidationError("--quality \(quality): expected 1 to 100.")
    }
    guard PixelPipeline.File(rawValue: via) != nil else {
      throw ValidationError("--via \(via): expected none, png or jpeg.")
    }
    for (name, value, least) in [
      ("--reference-count", referenceCount, 2), ("--reference-size", referenceSize, 1),
    ] {
      if let value, value < least {
        throw ValidationError("\(name) \(value): expected at least \(least).")
      }
    }
  }

  var pixels: PixelPipeline {
    PixelPipeline(
      tone: truncate ? .truncating : .nearest, via: PixelPipeline.File(rawValue: via)!,
      quality: quality)
  }

  /// Samples of a model measure.
  func requireFit(_ loaded: LoadedModel) throws {
    let side = loaded.specification.latentShape
    let factor = loaded.firstStage.downsamplingFactor
    try judging.requireFit(
      ImageSize(width: side[1] * factor, height: side[0] * factor), of: "samples")
  }

  /// Collective: stored moments, or the features of a data set's pictures; on rank 0. A reference
  /// that is no good ends the command here, before anything is sampled.
  ///
  /// - Parameters:
  ///   - items: folder of finished items.
  ///   - count: samples that will be compared with it.
  func read(
    _ work: FeatureWork, _ figures: FigureOptions, items: String, count: Int
  ) throws -> ReferenceStatistics? {
    guard let reference else {
      throw UserError(
        .usage, "--reference", found: "nothing", expected: "statistics or a data set")
    }
    if ReferenceStatistics.isFile(reference) {
      return try work.job.communicator.together {
        try figures.check(
          work.extractor, samples: count * (work.patches?.perImage ?? 1), real: nil)
        return work.job.isCoordinator
          ? try ReferenceStatistics(file: reference, dimension: work.extractor.dimension) : nil
      }
    }
    let images = try work.job.communicator.together {
      let images = try ReferenceImages(reference, size: referenceSize, count: referenceCount)
      try judging.requireFit(try images.source.size(0), of: "pictures of \(reference)")
      let each = work.patches?.perImage ?? 1
      try figures.check(work.extractor, samples: count * each, real: images.count * each)
      return images
    }
    return try images.features(work, folder: items, itemSize: StatisticsCommand.itemSize)
  }
}
