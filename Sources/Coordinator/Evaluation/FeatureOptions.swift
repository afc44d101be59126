import ArgumentParser
import Diagnostics
import FlowData
import FlowMetrics
import FlowModels
import FlowTensor
import Foundation
import RunFormat
import Worker

/// `--inception`, `--features-of`, `--patches`: what judges, and what of the pictures it sees.
struct FeatureOptions: ParsableArguments {
  @Option(help: "Inception weights, pytorch-fid's pt_inception-2015-12-05 (.pth, .safetensors).")
  var inception: String?
  @Option(help: "An autoencoder whose middle block gives the features instead; never called FID.")
  var featuresOf: String?
  @Option(
    name: .customLong("patches"),
    help: "Judge random crops of this side in pixels, as 64, or several of each picture: 64x4.")
  var patchText: String?

  func validate() throws {
    if inception != nil && featuresOf != nil {
      throw ValidationError("give either --inception or --features-of.")
    }
    if let patchText, patches == nil {
      throw ValidationError("--patches \(patchText): expected SIZE or SIZExCOUNT, as 64x4.")
    }
  }

  /// Crops by index alone: the same of a data set whatever the samples' seed.
  var patches: PatchCrops? {
    guard let words = patchText?.split(separator: "x", omittingEmptySubsequences: false) else {
      return nil
    }
    let numbers = words.compactMap { Int($0) }.filter { $0 > 0 }
    guard numbers.count == words.count, (1...2).contains(numbers.count) else { return nil }
    return PatchCrops(size: numbers[0], perImage: numbers.count == 2 ? numbers[1] : 1, seed: 0)
  }

  /// - Throws: `UserError` where crops do not fit into pictures of this size.
  func requireFit(_ size: ImageSize, of pictures: String) throws {
    guard let patches, patches.size > min(size.width, size.height) else { return }
    throw UserError(
      .usage, "--patches", found: "crops of \(patches.size) pixels, \(pictures) of \(size)",
      expected: "at most \(min(size.width, size.height))")
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

extension PatchCrops {
  /// For manifests.
  var text: String { "\(perImage) of \(size)×\(size) from each picture" }
}

/// Features that are computed over the ranks, kept on disk as they come, with progress.
struct FeatureWork {
  let job: Job
  let extractor: FeatureExtractor
  var patches: PatchCrops?

  /// What the features of pictures are a function of beside the pictures, line by line.
  var key: String {
    [
      LatentFlow.version, extractor.name, extractor.hash, patches?.text ?? "whole pictures",
      "\(job.threads) threads",
    ].joined(separator: "\n")
  }

  /// Rows that are kept in a folder, on rank 0, and what they took.
  struct Result {
    let rows: RowFile?
    let seconds: Double
    /// Pictures that are new.
    let computed: Int
  }

  /// Collective: features of `count` pictures.
  ///
  /// - Parameters:
  ///   - what: what is computed, for the progress line.
  ///   - pictures: a folder for the pictures themselves; items whose pictures it lacks are made
  ///     again.
  func run(
    _ features: FeatureRun, folder: String, itemSize: Int, count: Int, _ what: String,
    pictures: PictureFolder? = nil
  ) throws -> Result {
    let perPicture = patches?.perImage ?? 1
    let rows = try job.communicator.together {
      try pictures?.prepare(isWriter: job.isCoordinator)
      return job.isCoordinator
        ? try RowFile(
          folder: folder, rowBytes: FeatureRow.bytes(dimension: extractor.dimension),
          itemRows: itemSize * perPicture, count: count * perPicture) : nil
    }
    let items = rows.map { rows in
      (0..<rows.itemCount).filter { k in
        let range = k * itemSize..<min((k + 1) * itemSize, count)
        return !rows.isDone(k) || pictures?.holds(range) == false
      }
    }
    let line = ProgressLine()
    if let rows, let items, items.count < rows.itemCount {
      line.say("\(what): \(rows.itemCount - items.count) of \(rows.itemCount) items are there")
    }
    let clock = ContinuousClock()
    let begin = clock.now
    var computed = 0
    try features.run(
      into: rows, items: items, job.communicator, sending: 0..<(pictures == nil ? 0 : count),
      picture: { try pictures?.write($1, index: $0) }
    ) { progress in
      computed = progress.byRank.reduce(0, +)
      show(progress, computed, (clock.now - begin).seconds, line)
    }
    if job.isCoordinator { line.finish() }
    return Result(rows: rows, seconds: (clock.now - begin).seconds, computed: computed)
  }

  private func show(
    _ progress: FeatureRun.Progress, _ computed: Int, _ seconds: Double, _ line: ProgressLine
  ) {
    let rate = Double(computed) / seconds
    let rates = progress.byRank.map { String(format: "%.2g", Double($0) / seconds) }
    line.update(
      RunProgress(
        step: progress.done, total: progress.total, imagesPerSecond: rate,
        secondsLeft: Double(progress.total - progress.done) / rate,
        detail: rates.count > 1 ? "by rank \(rates.joined(separator: " "))" : nil),
      isLogged: true)
  }
}

/// A folder of numbered PNGs that belong to one evaluation.
struct PictureFolder {
  static let markName = ".evaluation"

  let path: String
  /// Of what the pictures are a function of.
  let key: String
  /// The option that names the folder, for messages.
  let option: String

  /// Throws `UserError` where the folder holds anything but pictures of this evaluation.
  func prepare(isWriter: Bool) throws {
    guard isWriter else { return }
    let mark = "\(path)/\(Self.markName)"
    if let found = FileManager.default.contents(atPath: mark),
      String(decoding: found, as: UTF8.self) == key
    {
      return
    }
    try Preflight.requireEmptyOrNew(path, option: option)
    try Disk.local.createFolders(path)
    _ = try Disk.local.writeAtomically(Array(key.utf8), to: mark)
  }

  private func file(_ index: Int) -> String {
    "\(path)/\(String(format: "%06d.png", index))"
  }

  func holds(_ range: Range<Int>) -> Bool {
    range.allSatisfy { FileManager.default.fileExists(atPath: file($0)) }
  }

  func write(_ picture: ImageBuffer, index: Int) throws {
    _ = try Disk.local.writeAtomically(try picture.encodedPNG(), to: file(index))
  }
}
