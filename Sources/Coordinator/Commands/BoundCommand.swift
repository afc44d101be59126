import ArgumentParser
import Diagnostics
import FlowCore
import FlowData
import FlowMetrics
import Foundation
import RunFormat
import Worker

/// `latentflow bound`
struct BoundCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bound",
    abstract: "The bound on the Wasserstein-2 distance of a latent flow, term by term.",
    discussion: """
      Reconstruction error, Lipschitz estimates of decoder and velocity, velocity error over t, and
      the bound of Dao et al. 2023 beside a measured distance; docs/evaluation-bound.md says what
      each figure means. The figures do not depend on the number of ranks.

      Example:
        scripts/run.sh 2 latentflow bound runs/demo --images data/shapes-heldout --count 256
      """)

  @Argument(help: "A run folder, a checkpoint folder, or a weights file.")
  var model: String
  @Option(help: "Real pictures, with labels if the model takes them.")
  var images: String
  @Option(help: "Pictures to use, and samples to compare with them.")
  var count = 256
  @Option(help: "Pictures at which Lipschitz constants are estimated.")
  var points = 16
  @Option(help: "Stretches of t.")
  var stretches = 8
  @Option(help: "Iterations of each estimate.")
  var iterations = 20
  @Flag(help: "Use the trained parameters rather than their running average.")
  var noEma = false
  @Option(help: "The first stage, if it has moved since training.")
  var autoencoder: String?
  @OptionGroup var seeding: SeedOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  /// Pairing n pictures with n takes n³ operations.
  private static let largestCount = 4096

  func validate() throws {
    guard (2...Self.largestCount).contains(count) else {
      throw ValidationError("--count \(count): expected 2 to \(Self.largestCount).")
    }
    for (name, value) in [
      ("points", points), ("stretches", stretches), ("iterations", iterations),
    ] where value < 1 {
      throw ValidationError("--\(name) \(value): expected at least 1.")
    }
  }

  func run() throws {
    try Job.run(threading) { job in
      let (loaded, source) = try job.communicator.together {
        let loaded = try LoadedModel(
          model, averaged: !noEma, autoencoder: autoencoder, warn: job.isCoordinator)
        return (loaded, try pictures(for: loaded))
      }
      let settings = BoundRun.Settings(
        seed: seeding.seed ?? 0, stretches: stretches, points: points,
        norm: JacobianNorm(iterations: iterations))
      let run = BoundRun(
        loaded.network, loaded.firstStage, path: loaded.config.path.path,
        scale: Float(loaded.header.scale), settings)
      let progress = PictureProgress(of: count, interval: count)
      let bound = try run.run(source, count: count, job.communicator) {
        progress.update($0)
      }
      let samples = try sampler(loaded, source).images(count: count, job.communicator)
      try job.communicator.together {
        guard let bound, let samples else { return }
        progress.finish()
        let report = BoundReport(
          bound, measured: try distances(samples.map(\.image), source), count: count,
          points: points, loaded)
        try StandardOutput.write(output.json ? report.json : report.text)
      }
    }
  }

  /// The real pictures at the size that the model makes.
  private func pictures(for loaded: LoadedModel) throws -> PreparedImages {
    let shape = loaded.specification.latentShape
    let factor = loaded.firstStage.downsamplingFactor
    let source = try PreparedImages(
      try openImageSource(images), fit: .centerCrop(shape[0] * factor))
    guard source.count >= count else {
      throw UserError(
        .badData, images, found: "\(source.count) pictures", expected: "at least \(count)",
        advice: "give a smaller --count")
    }
    let classes = loaded.config.model.classes
    if classes > 0 {
      for i in 0..<count {
        guard let label = source.label(i), label < classes else {
          throw UserError(
            .badData, source.place(i), found: source.label(i).map { "class \($0)" } ?? "no class",
            expected: "a class below \(classes), as the model has them")
        }
      }
    }
    return source
  }

  /// Samples of the labels that the real pictures have, without guidance: the theorem knows none.
  private func sampler(_ loaded: LoadedModel, _ source: PreparedImages) -> Sampler {
    let labels = (0..<count).compactMap { source.label($0) }
    return Sampler(
      loaded.network, loaded.firstStage,
      SamplingPlan(
        seed: seeding.seed ?? 0, solver: AdaptiveSolver(.dopri5), guidance: 1,
        labels: loaded.config.model.classes > 0 ? .cycle(labels) : .none,
        path: loaded.config.path.path, scale: Float(loaded.header.scale)))
  }

  /// Of the samples from the first pictures, and of the next pictures from them, if there are any.
  private func distances(
    _ samples: [ImageBuffer], _ source: PreparedImages
  ) throws -> (samples: Double, real: Double?) {
    let real = try (0..<count).map { try source.image($0) }
    let others =
      source.count >= 2 * count ? try (count..<2 * count).map { try source.image($0) } : nil
    return (
      squaredTransportDistance(samples, real),
      others.map { squaredTransportDistance($0, real) }
    )
  }
}
