import ArgumentParser
import Diagnostics
import FlowData
import FlowModels
import Foundation
import RunFormat
import Worker

/// `latentflow evaluate-inpainting`
struct EvaluateInpaintingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate-inpainting",
    abstract: "Figures of completed pictures by the area of their holes.",
    discussion: """
      RESULTS, originals and masks hold the same names, but for extensions. L1, PSNR and SSIM always,
      LPIPS with its weights, and with a feature network the Fréchet distance (FID with --inception
      alone), P-IDS and U-IDS, each original paired with its own completion. The report is the same,
      byte for byte, on any number of ranks.

      Example:
        scripts/run.sh 2 latentflow evaluate-inpainting completed --originals photos --size 256 \\
          --masks masks --inception pt_inception-2015-12-05.pth --out inpainting.json
      """)

  /// The windows of SSIM reach this far.
  static let leastSide = 6

  @Argument(help: "Folder of completed pictures.")
  var results: String
  @Option(help: "The pictures as they were, any set of pictures.")
  var originals: String
  @Option(help: "Folder of masks: black in the hole.")
  var masks: String
  @Option(help: "Pairs to judge, from the first on. (default: all)")
  var count: Int?
  @Option(help: "The report, JSON.")
  var out: String
  @OptionGroup var fitting: FitOptions
  @OptionGroup var judging: PairOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if let count, count < 1 { throw ValidationError("--count \(count): expected at least 1.") }
  }

  func run() throws {
    try Job.run(threading) { job in
      let judge = try job.communicator.together {
        if job.isCoordinator { try Preflight.requireWritableFolder(parentFolder(of: out)) }
        let images = try PreparedImages(try openImageSource(originals), fit: fitting.fit)
        return try InpaintingJudge(
          results: results, originals: images, masks: masks, count: count, judging)
      }
      try judge.run(job, report: out) { report in
        try StandardOutput.write(output.json ? report.json : report.text(out))
      }
    }
  }
}

/// Judges folders of completed pictures over the ranks of a job.
struct InpaintingJudge {
  let pictures: InpaintedPictures
  let count: Int
  let extractor: FeatureExtractor?
  let perceptual: (network: PerceptualNetwork, hash: String)?
  let backbone: String

  /// Throws `UserError` for folders that do not fit together, or fewer pairs than asked for.
  init(
    results: String, originals: PreparedImages, masks: String, count: Int?, _ options: PairOptions
  ) throws {
    pictures = try InpaintedPictures(results: results, originals: originals, masks: masks)
    self.count = count ?? pictures.count
    guard self.count <= pictures.count else {
      throw UserError(
        .badData, results, found: "\(pictures.count) pictures", expected: "at least \(self.count)")
    }
    let size = try pictures.results.size(0)
    guard min(size.width, size.height) >= EvaluateInpaintingCommand.leastSide else {
      throw UserError(
        .badData, pictures.results.place(0), found: "a picture of \(size)",
        expected: "sides of at least \(EvaluateInpaintingCommand.leastSide) pixels")
    }
    extractor = try options.extractor()
    perceptual = try options.perceptual()
    backbone = options.lpipsKind.rawValue
  }

  /// Collective: measures, and on rank 0 writes the report.
  func run(_ job: Job, report file: String, then: (InpaintingReport) throws -> Void) throws {
    let line = ProgressLine()
    let clock = ContinuousClock()
    let begin = clock.now
    let run = InpaintingRun(pictures, extractor: extractor, perceptual: perceptual?.network)
    let measured = try run.run(count: count, job.communicator) { done in
      let rate = Double(done) / (clock.now - begin).seconds
      line.update(
        RunProgress(
          step: done, total: count, imagesPerSecond: rate,
          secondsLeft: Double(count - done) / rate),
        isLogged: done == count)
    }
    try job.communicator.together {
      guard let measured else { return }
      line.finish()
      let report = InpaintingReport(
        measured, distanceName: extractor?.distanceName ?? "", provenance: try provenance(job))
      _ = try Disk.local.writeAtomically(Array(report.json.utf8), to: file)
      try then(report)
    }
  }

  private func provenance(_ job: Job) throws -> InpaintingProvenance {
    InpaintingProvenance(
      results: pictures.results.path, originals: pictures.originals.path,
      masks: pictures.masks.path, picturesHash: try pictures.fingerprint(), count: count,
      size: pictures.originals.preparation.fit?.size, features: extractor?.name,
      featuresHash: extractor?.hash, perceptual: perceptual == nil ? nil : backbone,
      perceptualHash: perceptual?.hash, threadsPerRank: job.threads, version: LatentFlow.version)
  }
}
