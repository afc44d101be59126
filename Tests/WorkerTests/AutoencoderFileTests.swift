import Diagnostics
import FlowData
import FlowModels
import FlowTensor
import Foundation
import Testing
import Worker

/// One small autoencoder in every shape that people have it in.
@Suite("autoencoders from elsewhere", .serialized)
struct AutoencoderFileTests {
  private let scratch = NSTemporaryDirectory() + "autoencoders-\(UUID().uuidString)"

  /// The pair holds the same weights under both schemes' names.
  private func weights(_ scheme: String, prefix: String = "") throws -> TensorSelection {
    let source = TensorSelection(
      of: try fixture("E_vae_pair_\(scheme)").file, below: "weights.")
    return TensorSelection(
      of: source, names: source.names.map { (prefix + $0, $0) }, metadata: [:])
  }

  /// `weights` and tensors of a network that is none of the autoencoder's.
  private func wholeCheckpoint(_ prefix: String) throws -> TensorSelection {
    let source = try weights("ldm")
    return TensorSelection(
      of: source,
      names: source.names.map { (prefix + $0, $0) }
        + [("model.diffusion_model.out.2.bias", "quant_conv.bias"), ("state", "quant_conv.bias")],
      metadata: [:])
  }

  private func configuration(groups: Int) throws -> Data {
    let c = AutoencoderKL.Configuration(
      blockChannels: [32, 32], layersPerBlock: 1, groups: groups, scaleFactor: 0.5)
    return Data(c.diffusersJSON.utf8)
  }

  /// The image that a file's decoder makes of fixed latents.
  private func picture(_ path: String) throws -> [Float] {
    let z = Tensor([1, 2, 2, 4], (0..<16).map { Float($0) / 8 - 1 })
    return try FirstStage.autoencoder(path).decode(z).values
  }

  @Test("every form of one autoencoder decodes to the same picture")
  func forms() throws {
    try FileManager.default.createDirectory(
      atPath: scratch + "/pipeline/vae", withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: scratch) }
    let forms: [(String, TensorSelection)] = [
      ("plain.ckpt", try weights("ldm")), ("diffusers.pth", try weights("diffusers")),
      ("stable-diffusion.ckpt", try wholeCheckpoint("first_stage_model.")),
      ("lightning.ckpt", try wholeCheckpoint("state_dict/first_stage.")),
      ("trained.pth", try weights("ldm", prefix: "module.")),
      ("pipeline/vae/diffusion_pytorch_model.bin", try weights("diffusers")),
    ]
    for (name, tensors) in forms {
      try PyTorchWriter.writeAtomically(tensors, to: "\(scratch)/\(name)")
    }
    let config = URL(fileURLWithPath: scratch + "/pipeline/vae/config.json")
    try configuration(groups: 32).write(to: config)
    let expected = try picture("\(scratch)/plain.ckpt")
    #expect(expected.contains { $0 != 0 })
    for name in forms.map(\.0).dropLast() + ["pipeline", "pipeline/vae"] {
      #expect(try picture("\(scratch)/\(name)") == expected, "\(name)")
    }
    #expect(try FirstStage.autoencoder("\(scratch)/plain.ckpt").scaleFactor == 0.18215)
    #expect(try FirstStage.autoencoder("\(scratch)/pipeline").scaleFactor == 0.5)
    // Shapes do not tell the groups: config.json does.
    try configuration(groups: 16).write(to: config)
    #expect(try picture("\(scratch)/pipeline") != expected)
    try Data(#"{"_class_name": "AutoencoderTiny"}"#.utf8).write(to: config)
    let error = #expect(throws: UserError.self) { try picture("\(scratch)/pipeline") }
    #expect(error?.place == "config.json" && error?.found == "_class_name AutoencoderTiny")
  }

  @Test("a file without an autoencoder says what is missing")
  func nothing() throws {
    let path = try fixture("A_dit_p2_uncond").file.path
    let error = #expect(throws: UserError.self) { try FirstStage.autoencoder(path) }
    #expect(error?.status == .badData && error?.place == "tensor encoder.conv_in.weight")
    let none = #expect(throws: UserError.self) { try FirstStage.autoencoder("/no/such/file") }
    #expect(none?.status == .missingInput)
  }
}
