import ArgumentParser
import Diagnostics
import FlowData
import Foundation
import RunFormat

/// `latentflow inspect`
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Shows what is in a weights file, a checkpoint, a run or a latent cache.",
    discussion: """
      Weights files are safetensors, what torch.save wrote, .npy, .npz and diffusers folders.
      Of other folders, every file's hash is computed and compared; exit status 1 if one is damaged.

      Examples:
        latentflow inspect runs/demo
        latentflow inspect runs/demo/checkpoints/step-00000100
        latentflow inspect data/shapes-latents --json
      """)

  @Argument(help: "A weights file, or a checkpoint, run, or latent cache folder.")
  var path: String

  @OptionGroup var output: OutputOptions

  func run() throws {
    let report = try InspectCommand.report(on: path)
    if output.json {
      try StandardOutput.write(json: report)
    } else {
      try StandardOutput.write(report.text)
    }
    if !report.isGood { throw ExitCode(ExitStatus.failure.rawValue) }
  }

  private static func report(on path: String) throws -> any InspectionReport {
    let manager = FileManager.default
    var isFolder: ObjCBool = false
    guard manager.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw UserError(
        .missingInput, path, found: "no such file or folder",
        expected: "a weights file, or a checkpoint, run, or latent cache folder")
    }
    guard isFolder.boolValue else { return try FileReport(path) }
    func holds(_ name: String) -> Bool { manager.fileExists(atPath: "\(path)/\(name)") }
    if holds(CheckpointManifest.fileName) { return try CheckpointReport(folder: path) }
    if RunFolder(path: path).holdsRun { return try RunReport(folder: path) }
    if holds(LatentCacheIndex.fileName) { return try CacheReport(folder: path) }
    if TensorFile.holdsWeights(folder: path) { return try FileReport(path) }
    throw UserError(
      .missingInput, path,
      found: "neither \(CheckpointManifest.fileName) nor config.yaml, "
        + "\(LatentCacheIndex.fileName) or model.safetensors",
      expected: "a checkpoint, run, or latent cache folder")
  }
}
