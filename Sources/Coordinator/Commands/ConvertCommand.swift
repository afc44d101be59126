import ArgumentParser
import Diagnostics
import FlowData
import FlowModels
import FlowTensor
import Foundation
import Worker

/// `latentflow convert`
struct ConvertCommand: ParsableCommand {
  enum Target: String, ExpressibleByArgument, CaseIterable {
    case safetensors, pth, diffusers
  }

  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Writes a weights file again in another format.",
    discussion: """
      Reads safetensors, what torch.save wrote (.pth, .pt, .ckpt, .bin, of any age), .npy, .npz and
      diffusers folders. Every tensor keeps its type and its bits; those of a nested checkpoint
      stand under their path, as in optimizer/state/0/exp_avg; what else it holds goes into the
      header as JSON under scalars. A diffusers folder is written of an AutoencoderKL.

      Examples:
        latentflow convert model_475.pth --to safetensors --out model_475.safetensors
        latentflow convert model.safetensors --to pth --out model.pth
        latentflow convert kl-f8.ckpt --to diffusers --out kl-f8
      """)

  @Argument(help: "A weights file or a diffusers folder.")
  var file: String

  @Option(help: "safetensors, pth or diffusers.")
  var to: Target

  @Option(help: "The file to write; with --to diffusers, the folder.")
  var out: String

  @Flag(help: "Write over what is there.")
  var force = false

  @OptionGroup var output: OutputOptions

  private struct Report: Encodable {
    let out: String
    let format: String
    let tensors: Int
    /// Of the weights file.
    let bytes: Int
    let sha256: String
  }

  func run() throws {
    var isFolder: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: out, isDirectory: &isFolder)
    guard force || !exists else {
      throw UserError(
        .io, out, found: "exists already", expected: "a new name",
        advice: "choose another --out, or add --force to write over it")
    }
    guard !exists || isFolder.boolValue == (to == .diffusers) else {
      throw UserError(
        .io, out, found: isFolder.boolValue ? "a folder" : "a file",
        expected: to == .diffusers ? "a folder" : "a file")
    }
    let source = try TensorFile.open(file)
    if let name = source.names.first(where: { $0 == "__metadata__" }) {
      throw UserError(
        .badData, source.path, at: "tensor \(name)", found: "a name that safetensors reserves")
    }
    let record =
      switch to {
      case .safetensors:
        try SafetensorsWriter.writeAtomically(ConvertCommand.describing(source), to: out)
      case .pth: try PyTorchWriter.writeAtomically(ConvertCommand.describing(source), to: out)
      case .diffusers: try writeDiffusers(exists: exists)
      }
    let count = source.names.count
    if output.json {
      try StandardOutput.write(
        json: Report(
          out: out, format: to.rawValue, tensors: count, bytes: record.bytes,
          sha256: record.sha256))
    } else {
      try StandardOutput.write(
        "\(out): \(to.rawValue), \(grouped(count)) tensors, \(grouped(record.bytes)) bytes\n")
    }
  }

  /// With the configuration of a diffusers autoencoder in our own words too: shapes alone do not
  /// tell groups and scale.
  private static func describing(_ source: any TensorSource) -> any TensorSource {
    guard source.metadata["autoencoder"] == nil,
      let json = source.metadata[TensorFile.configKey],
      let c = try? AutoencoderKL.Configuration(diffusers: json, file: source.path)
    else { return source }
    return TensorSelection(
      of: source, names: source.names.map { ($0, $0) },
      metadata: source.metadata.merging(["autoencoder": c.json]) { _, new in new })
  }

  private func writeDiffusers(exists: Bool) throws -> FileRecord {
    let autoencoder = try AutoencoderFile(file)
    let tensors = try ConvertCommand.diffusersTensors(autoencoder)
    let config = Array(autoencoder.configuration.diffusersJSON.utf8)
    func write(into folder: String) throws -> FileRecord {
      try Disk.local.writeAtomically(config, to: folder + "/config.json")
      return try SafetensorsWriter.writeAtomically(
        tensors, to: folder + "/diffusion_pytorch_model.safetensors")
    }
    if exists { return try write(into: out) }
    let folder = try AtomicFolder(out)
    do {
      let record = try write(into: folder.draft)
      try folder.commit()
      return record
    } catch {
      // The first error is the one to tell.
      try? folder.discard()
      throw error
    }
  }

  /// Under diffusers' names; attention weights, which LDM has as 1×1 convolutions, as matrices.
  private static func diffusersTensors(_ file: AutoencoderFile) throws -> TensorSelection {
    let source = file.tensors
    let keys = AutoencoderKeys(file.configuration)
    var names: [(String, String)] = []
    var shapes: [String: Shape] = [:]
    for key in source.names {
      guard let name = keys.parameter(forKey: key) else {
        throw UserError(
          .badData, source.path, at: "tensor \(key)", found: "no part of an AutoencoderKL",
          expected: "the state dictionary of one")
      }
      names.append((name, key))
      let dims = try source.shape(key).dims
      if name.contains(".attentions."), dims.count == 4, dims[2] == 1, dims[3] == 1 {
        shapes[name] = Shape([dims[0], dims[1]])
      }
    }
    return TensorSelection(of: source, names: names, shapes: shapes, metadata: ["format": "pt"])
  }
}
