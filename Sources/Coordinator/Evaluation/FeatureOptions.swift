import ArgumentParser
import Diagnostics
import FlowData
import FlowModels
import FlowTensor
import Foundation
import RunFormat
import Worker

/// `--inception`, `--features-of`: which network judges.
struct FeatureOptions: ParsableArguments {
  @Option(help: "Inception weights, pytorch-fid's pt_inception-2015-12-05 (.pth, .safetensors).")
  var inception: String?
  @Option(help: "An autoencoder whose middle block gives the features instead; never called FID.")
  var featuresOf: String?

  func validate() throws {
    if inception != nil && featuresOf != nil {
      throw ValidationError("give either --inception or --features-of.")
    }
  }

  /// - Parameter firstStage: serves where no network is named.
  func extractor(firstStage: FirstStage?) throws -> FeatureExtractor {
    try FeatureExtractor(
      inception: inception, autoencoder: featuresOf, firstStage: firstStage,
      orThrow: UserError(
        .usage, "--inception", found: "no network to judge by",
        expected: "--inception FILE, or --features-of AUTOENCODER"))
  }
}

extension FeatureExtractor {
  /// - Parameters:
  ///   - inception, autoencoder: weights; at most one of them.
  ///   - firstStage: serves where neither is named.
  ///   - missing: thrown where nothing is left to judge by.
  init(
    inception: String?, autoencoder: String?, firstStage: FirstStage?,
    orThrow missing: @autoclosure () -> UserError
  ) throws {
    if let inception {
      let network = try InceptionV3(try TensorFile.open(inception))
      self = .inception(network, hash: try sha256Hex(ofFile: inception))
      return
    }
    let stage = try autoencoder.map { try FirstStage.autoencoder($0) } ?? firstStage
    guard let stage, !stage.isIdentity else { throw missing() }
    self = .autoencoder(stage)
  }
}

/// Features that are computed over the ranks, kept on disk as they come, with progress.
struct FeatureWork {
  let job: Job
  let extractor: FeatureExtractor

  /// Collective: rows of a work folder, on rank 0.
  ///
  /// - Parameter what: what is computed, for the progress line.
  func run(
    _ features: FeatureRun, folder: String, itemSize: Int, count: Int, _ what: String,
    sendsPictures: Bool = false, picture: ((Int, ImageBuffer) throws -> Void)? = nil
  ) throws -> (rows: RowFile?, seconds: Double, computed: Int) {
    let rows = try job.communicator.together {
      job.isCoordinator
        ? try RowFile(
          folder: folder, rowBytes: FeatureRow.bytes(dimension: extractor.dimension),
          itemRows: itemSize, count: count) : nil
    }
    let line = ProgressLine()
    if let rows, !rows.remaining.isEmpty, rows.remaining.count < rows.itemCount {
      line.say(
        "\(what): \(rows.itemCount - rows.remaining.count) of \(rows.itemCount) items are there")
    }
    let clock = ContinuousClock()
    let begin = clock.now
    var computed = 0
    try features.run(
      into: rows, job.communicator, sendsPictures: sendsPictures, picture: picture
    ) { progress in
      computed = progress.byRank.reduce(0, +)
      let seconds = (clock.now - begin).seconds
      let rate = Double(computed) / seconds
      let rates = progress.byRank.map { String(format: "%.2g", Double($0) / seconds) }
      line.update(
        RunProgress(
          step: progress.done, total: progress.total, imagesPerSecond: rate,
          secondsLeft: Double(progress.total - progress.done) / rate,
          detail: rates.count > 1 ? "by rank \(rates.joined(separator: " "))" : nil),
        isLogged: true)
    }
    if job.isCoordinator { line.finish() }
    return (rows, (clock.now - begin).seconds, computed)
  }
}
