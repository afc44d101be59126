import ArgumentParser
import Diagnostics
import FlowData
import Foundation
import RunFormat

/// `latentflow inspect`
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Shows what is in a weights file, a configuration, a checkpoint, a run or a cache.",
    discussion: """
      Weights files are safetensors, what torch.save wrote, .npy, .npz and diffusers folders. Of
      other folders, every file's hash is computed and compared; exit status 1 if one is damaged.
      Of networks: parameters per block, FLOPs per sample, memory to train and to sample.

      Examples:
        latentflow inspect runs/demo
        latentflow inspect runs/demo/checkpoints/step-00000100
        latentflow inspect data/shapes-latents --json
        latentflow inspect configs/lfm/celeba256-dit-l2.yaml --batch 8
      """)

  @Argument(
    help: "A weights file, a configuration, or a checkpoint, run, or latent cache folder.")
  var path: String
  @Option(help: "Samples at once, for memory. (default: the micro-batch, and 32 to sample)")
  var batch: Int?
  @Option(help: "Ranks that share training, for memory.")
  var ranks = 1
  @Option(help: "Height, width and channels of the latents, as 32,32,4, where no file tells.")
  var latentShape: String?

  @OptionGroup var output: OutputOptions

  func validate() throws {
    if let batch, batch < 1 { throw ValidationError("--batch \(batch): expected at least 1.") }
    guard ranks > 0 else { throw ValidationError("--ranks \(ranks): expected at least 1.") }
    guard latentShape == nil || question.latentShape != nil else {
      throw ValidationError("--latent-shape \(latentShape!): expected three numbers, as 32,32,4.")
    }
  }

  private var question: CostQuestion {
    let shape = latentShape?.split(separator: ",").compactMap { Int($0) }.filter { $0 > 0 }
    return CostQuestion(
      batch: batch, ranks: ranks, latentShape: shape?.count == 3 ? shape : nil)
  }

  func run() throws {
    let report = try InspectCommand.report(on: path, question)
    if output.json {
      try StandardOutput.write(json: report)
    } else {
      try StandardOutput.write(report.text)
    }
    if !report.isGood { throw ExitCode(ExitStatus.failure.rawValue) }
  }

  private static func report(
    on path: String, _ question: CostQuestion
  ) throws -> any InspectionReport {
    let manager = FileManager.default
    var isFolder: ObjCBool = false
    guard manager.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw UserError(
        .missingInput, path, found: "no such file or folder",
        expected: "a weights file, a configuration, or a checkpoint, run, or latent cache folder")
    }
    if !isFolder.boolValue, path.hasSuffix(".yaml") || path.hasSuffix(".yml") {
      return try ConfigReport(file: path, question)
    }
    guard isFolder.boolValue else { return try FileReport(path, question) }
    func holds(_ name: String) -> Bool { manager.fileExists(atPath: "\(path)/\(name)") }
    if holds(CheckpointManifest.fileName) { return try CheckpointReport(folder: path) }
    if RunFolder(path: path).holdsRun { return try RunReport(folder: path, question) }
    if holds(LatentCacheIndex.fileName) { return try CacheReport(folder: path) }
    if TensorFile.holdsWeights(folder: path) { return try FileReport(path, question) }
    throw UserError(
      .missingInput, path,
      found: "neither \(CheckpointManifest.fileName) nor config.yaml, "
        + "\(LatentCacheIndex.fileName) or model.safetensors",
      expected: "a checkpoint, run, or latent cache folder")
  }
}
