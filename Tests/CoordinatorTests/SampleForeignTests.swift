import Coordinator
import FlowData
import FlowTensor
import Foundation
import Testing
import Worker

/// Weights of LFM and what `sample` makes of them.
@Suite(.serialized) struct SampleForeignTests {
  /// A folder laid out as LFM's: an argument file, and weights where it says.
  private struct Home {
    let folder: ScratchFolder
    let arguments: String
    let weights: String

    init(_ more: String = "METHOD=euler\nSTEPS=3", prefix: String = "module.") throws {
      folder = try ScratchFolder()
      let text = "MODEL_TYPE=adm\nEPOCH_ID=7\nDATASET=celeba_256\nEXP=tiny\nIMG_SIZE=64\n"
        + "BASE_CH=32\nCH_MULT=\"1 2\"\nATTN_RES=\"4\"\n\(more)\n"
      let manager = FileManager.default
      for name in ["test_args", "saved_info/latent_flow/celeba_256/tiny"] {
        try manager.createDirectory(
          atPath: "\(folder.path)/\(name)", withIntermediateDirectories: true)
      }
      arguments = try folder.write(text, to: "test_args/tiny.txt")
      weights = "\(folder.path)/saved_info/latent_flow/celeba_256/tiny/model_7.pth"
      let yaml = """
        model: { kind: adm, channels: 32, multipliers: [1, 2], attention_resolutions: [4] }
        """
      let model = try RunConfig(ConfigDocument(text: yaml, name: "x")).model
      let network = Network(try model.specification(latentShape: [8, 8, 4]))
      network.store.allocate(training: false)
      network.store.initialize(seed: 4)
      // A network as it is drawn gives no velocity.
      let last = network.store["out_conv.weight"]!.tensor
      Philox(seed: 5, stream: .noise).fillNormal(last.base, count: last.count)
      let tensors = parameterTensors(of: network.store, in: network.store.values!.base).map {
        SafetensorsTensor(prefix + $0.name, $0.dtype, $0.dims, $0.data)
      }
      _ = try withExtendedLifetime(network) {
        try SafetensorsWriter.write(tensors, to: weights)
      }
    }

    func sample(_ model: String, _ options: String...) throws -> (Answer, grid: Data?) {
      let grid = "\(folder.path)/grid.png"
      try? FileManager.default.removeItem(atPath: grid)
      let answer = try latentflow(
        [
          "sample", model, "--count", "2", "--grid", grid, "--threads", "1", "--autoencoder",
          repository("models/shapes-autoencoder"),
        ] + options)
      return (answer, FileManager.default.contents(atPath: grid))
    }
  }

  @Test("an argument file samples with the weights that it names, its solver and its steps")
  func argumentFile() throws {
    let home = try Home()
    let (answer, grid) = try home.sample(home.arguments)
    #expect(answer.status == 0 && answer.output.contains("euler, 3 steps"), "\(answer)")
    let same = try home.sample(
      home.arguments, "--weights", home.weights, "--solver", "euler", "--steps", "3")
    #expect(same.grid == grid && grid != nil)
    let other = try home.sample(home.arguments, "--solver", "euler", "--steps", "2")
    #expect(other.0.output.contains("euler, 2 steps") && other.grid != grid)
  }

  @Test("weights alone are recognised, and what is assumed is said")
  func bareWeights() throws {
    let home = try Home()
    let (answer, grid) = try home.sample(home.weights, "--solver", "euler", "--steps", "3")
    #expect(answer.status == 0, "\(answer)")
    #expect(answer.errors.contains("recognised as adm on latents of 8×8×4, taken for a model of LFM"))
    #expect(try home.sample(home.arguments).grid == grid)
    let inspected = try latentflow("inspect", home.weights)
    #expect(inspected.output.contains("network adm, latents of 8×8×4, no labels"), "\(inspected)")
  }

  @Test("what is missing is said with what to do")
  func missing() throws {
    let home = try Home()
    try FileManager.default.removeItem(atPath: home.weights)
    let (answer, _) = try home.sample(home.arguments)
    #expect(answer.status == 66 && answer.errors.contains("name them with --weights FILE"))
    let none = try latentflow(
      "sample", home.arguments, "--count", "1", "--grid", "g.png", "--weights", "nowhere.pth")
    #expect(none.status == 66 && none.errors.contains("nowhere.pth: no such file"))
  }

  @Test("weights of another width are refused with a table")
  func mismatch() throws {
    let home = try Home("METHOD=euler\nBASE_CH=64")
    let (answer, _) = try home.sample(home.arguments)
    #expect(answer.status == 65 && answer.errors.contains("of another shape"), "\(answer)")
    #expect(
      answer.errors.contains("  enc.8x8_conv.weight           [64, 4, 3, 3]   [32, 4, 3, 3]\n"))
    #expect(answer.errors.contains("  … and 179 more"))
  }
}
