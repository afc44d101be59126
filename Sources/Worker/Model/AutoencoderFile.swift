import Diagnostics
import FlowData
import FlowModels
import FlowTensor
import Foundation

/// An autoencoder's tensors, wherever they lie: a file of their own, a whole Stable Diffusion or
/// Lightning checkpoint, a diffusers folder or pipeline.
public struct AutoencoderFile {
  /// The autoencoder's alone, without the prefix that a whole checkpoint gives them.
  public let tensors: TensorSelection
  public let configuration: AutoencoderKL.Configuration

  /// What whole checkpoints put before the names.
  private static let prefixes: [String] = ["", "state_dict/"].flatMap { root in
    ["", "first_stage_model.", "first_stage.", "module.", "vae.", "autoencoder."].map { root + $0 }
  }

  /// What training code keeps beside an autoencoder: its loss and discriminator.
  private static let others = ["loss."]

  /// Throws `.missingInput` if there is nothing, `.badData` if it is no AutoencoderKL.
  public init(_ path: String) throws {
    let source = try AutoencoderFile.open(path)
    guard
      let prefix = AutoencoderFile.prefixes.first(where: {
        source.contains($0 + "encoder.conv_in.weight")
      })
    else {
      throw UserError(
        .badData, source.path, at: "tensor encoder.conv_in.weight", found: "missing",
        expected: "the state dictionary of an AutoencoderKL")
    }
    let names = source.names.filter { $0.hasPrefix(prefix) }
      .map { (String($0.dropFirst(prefix.count)), $0) }
      .filter { pair in !AutoencoderFile.others.contains { pair.0.hasPrefix($0) } }
    tensors = TensorSelection(of: source, names: names)
    configuration = try AutoencoderFile.configuration(of: tensors)
  }

  /// From the file's header, from diffusers' `config.json`, or else from the shapes.
  private static func configuration(
    of source: TensorSelection
  ) throws -> AutoencoderKL.Configuration {
    if let json = source.metadata["autoencoder"] {
      return try AutoencoderKL.Configuration(json: json, file: source.path)
    }
    if let json = source.metadata[TensorFile.configKey] {
      return try AutoencoderKL.Configuration(diffusers: json, file: source.path)
    }
    return try AutoencoderKL.Configuration(
      inferredFrom: Dictionary(
        try source.names.map { ($0, try source.shape($0)) }, uniquingKeysWith: { a, _ in a }),
      file: source.path)
  }

  private static func open(_ path: String) throws -> any TensorSource {
    let manager = FileManager.default
    guard manager.fileExists(atPath: path) else {
      throw UserError(
        .missingInput, path, found: "no such file or folder",
        expected: "an autoencoder's weights or a folder that holds them",
        advice: "train one with `latentflow train-autoencoder`, or set first_stage.path")
    }
    let isPipeline = manager.fileExists(atPath: path + "/vae/config.json")
    return try TensorFile.open(isPipeline ? path + "/vae" : path)
  }
}
