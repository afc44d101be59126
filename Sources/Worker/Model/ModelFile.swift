import Diagnostics
import FlowCore
import FlowData
import FlowModels
import FlowNN
import FlowTensor
import Foundation

/// What a weights file of a run says about itself in its header, beside the tensors: enough to draw
/// samples with it on another machine.
public struct ModelFileHeader: Codable, Equatable, Sendable {
  public static let key = "latentflow"

  /// The resolved configuration of the run, YAML.
  public var config: String
  /// [H, W, C]
  public var latentShape: [Int]
  /// Latents were multiplied by this in training.
  public var scale: Double
  public var step: Int
  public var classNames: [String]
  /// The first stage: its weights file and SHA-256.
  public var firstStage: String
  public var firstStageHash: String
  /// [h, w, C] of the low-resolution latents of a coupling by up-sampling; nil for other couplings,
  /// and in files that were written before there was this entry.
  public var lowShape: [Int]?

  public init(
    config: String, latentShape: [Int], scale: Double, step: Int, classNames: [String],
    firstStage: String, firstStageHash: String, lowShape: [Int]? = nil
  ) {
    (self.config, self.latentShape, self.scale) = (config, latentShape, scale)
    (self.step, self.classNames) = (step, classNames)
    (self.firstStage, self.firstStageHash) = (firstStage, firstStageHash)
    self.lowShape = lowShape
  }

  /// As a header entry of a safetensors file.
  public var metadata: [String: String] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let text = (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) }
    return [Self.key: text ?? ""]
  }

  public init(of file: any TensorSource) throws {
    guard let text = file.metadata[Self.key] else {
      throw UserError(
        .badData, file.path, at: "header", found: "no entry «\(Self.key)»",
        expected: "the weights of a run of latentflow")
    }
    do {
      self = try JSONDecoder().decode(Self.self, from: Data(text.utf8))
    } catch {
      throw UserError(
        .badData, file.path, at: "header entry \(Self.key)", found: "\(error)",
        expected: "the description of a model")
    }
  }
}

/// The weights file that a person means by a run folder, a checkpoint folder or a file.
///
/// - Parameter averaged: the running average rather than the trained parameters.
/// - Returns: the file, and a line for each checkpoint that was passed over.
public func locateWeights(
  _ path: String, averaged: Bool
) throws -> (file: String, warnings: [String]) {
  let manager = FileManager.default
  var isFolder: ObjCBool = false
  guard manager.fileExists(atPath: path, isDirectory: &isFolder) else {
    throw UserError(
      .missingInput, path, found: "no such file or folder",
      expected: "a run folder, a checkpoint folder, or a weights file")
  }
  if !isFolder.boolValue { return (path, []) }
  if manager.fileExists(atPath: path + "/" + CheckpointManifest.fileName) {
    let checkpoint = try Checkpoint(folder: path)
    try checkpoint.verify()
    return (averaged ? checkpoint.ema : checkpoint.model, [])
  }
  let store = CheckpointStore(folder: path + "/checkpoints")
  let (checkpoint, skipped) = try store.latestGood()
  let warnings = skipped.map { "warning: checkpoint \($0.name) is skipped: \($0.reason)" }
  guard let checkpoint else {
    throw UserError(
      .missingInput, path,
      found: skipped.isEmpty
        ? "no checkpoint" : "no good checkpoint: " + skipped.map(\.reason).joined(separator: "; "),
      expected: "a run folder with checkpoints, a checkpoint folder, or a weights file",
      advice: "train first: latentflow train CONFIG --run \(path)")
  }
  return (averaged ? checkpoint.ema : checkpoint.model, warnings)
}
