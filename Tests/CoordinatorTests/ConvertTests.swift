import Diagnostics
import FlowData
import FlowTensor
import Foundation
import Testing

@Suite(.serialized) struct ConvertTests {
  private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Fixtures").path

  private func file(_ name: String) -> String { "\(Self.fixtures)/files/\(name)" }

  @Test(
    "every tensor goes over with its bits, what lies deeper under its path",
    arguments: [
      ("content.pth", "safetensors", 10), ("lightning.ckpt", "pth", 16),
      ("dtypes_views_legacy.pth", "safetensors", 21), ("stats_lfm_oldnumpy.npy", "pth", 2),
      ("arrays.npz", "safetensors", 2), ("model_475.pth", "pth", 22),
    ])
  func converts(_ name: String, _ format: String, _ count: Int) throws {
    let folder = try ScratchFolder()
    let out = "\(folder.path)/out"
    let answer = try latentflow("convert", file(name), "--to", format, "--out", out)
    #expect(answer.status == 0 && answer.errors == "")
    #expect(answer.output.hasPrefix("\(out): \(format), \(count) tensors, "))
    let (source, result) = (try TensorFile.open(file(name)), try TensorFile.open(out))
    #expect(Set(result.names) == Set(source.names) && result.names.count == count)
    #expect(result.metadata == source.metadata)
    for key in source.names {
      #expect(try result.dtype(key) == source.dtype(key))
      let isEqual = try source.withBytes(key) { bytes in
        try result.withBytes(key) { bytes.elementsEqual($0) }
      }
      #expect(isEqual, "the bytes of \(key)")
    }
    let shown = try latentflow("inspect", out)
    #expect(shown.status == 0 && shown.output.contains("\(count) tensors"))
  }

  @Test("an autoencoder becomes a diffusers folder, and comes back with its groups")
  func diffusers() throws {
    let folder = try ScratchFolder()
    let model = "\(Self.fixtures)/../../models/shapes-autoencoder/model.safetensors"
    let out = "\(folder.path)/vae"
    let answer = try latentflow("convert", model, "--to", "diffusers", "--out", out)
    #expect(answer.status == 0, "\(answer.errors)")
    let text = try String(contentsOfFile: "\(out)/config.json", encoding: .utf8)
    let config = try JSONValue(parsing: text)
    #expect(config["_class_name"]?.string == "AutoencoderKL")
    let back = "\(folder.path)/back.safetensors"
    #expect(try latentflow("convert", out, "--to", "safetensors", "--out", back).status == 0)
    let (before, after) = (try TensorFile.open(model), try TensorFile.open(back))
    #expect(Set(before.names) == Set(after.names))
    let (a, b) = (before.metadata["autoencoder"] ?? "a", after.metadata["autoencoder"] ?? "b")
    #expect(try JSONValue(parsing: a) == JSONValue(parsing: b))
    let other = try latentflow(
      "convert", file("model_475.pth"), "--to", "diffusers", "--out", "\(folder.path)/no")
    #expect(other.status == ExitStatus.badData.rawValue)
    #expect(other.errors.contains("AutoencoderKL"))
    #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/no"))
  }

  @Test("nothing is written over unless asked, and nothing of a bad file is written")
  func overwriting() throws {
    let folder = try ScratchFolder()
    let out = try folder.write("mine", to: "out.pth")
    func convert(_ name: String, _ more: String...) throws -> Answer {
      let arguments = ["convert", file(name), "--to", "pth", "--out", out] + more
      return try latentflow(arguments)
    }
    let refused = try convert("model_475.pth")
    #expect(refused.status == ExitStatus.io.rawValue && refused.errors.contains("--force"))
    #expect(try String(contentsOfFile: out, encoding: .utf8) == "mine")
    let damaged = try convert("bad_crc.pth", "--force")
    #expect(damaged.status == ExitStatus.badData.rawValue && damaged.errors.contains("CRC-32"))
    let hostile = try convert("bad_evil_exec.pth", "--force")
    #expect(hostile.errors.contains("__builtin__.exec"))
    #expect(try String(contentsOfFile: out, encoding: .utf8) == "mine")
    #expect(try convert("model_475.pth", "--force").status == 0)
    #expect(try TensorFile.open(out).names.count == 22)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["out.pth"])
  }
}
