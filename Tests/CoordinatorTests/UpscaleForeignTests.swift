import Coordinator
import FlowData
import FlowTensor
import Foundation
import Testing
import Worker

/// Weights of FMBoost and what `upscale` makes of them.
@Suite(.serialized) struct UpscaleForeignTests {
  /// Its YAML file for a tiny network on pixels, 16 to 32.
  private static let yaml = """
    model:
      target: fmboost.trainer.TrainerFMBoost
      params:
        low_res_size: 16
        high_res_size: 32
        upsampling_mode: bilinear
        upsampling_mode_context: nearest
        noising_step: 100
        concat_context: True
        fm_cfg:
          target: fmboost.flow.FlowModel
          params:
            net_cfg:
              target: fmboost.models.unet.model.EfficientUNet
              params: { in_channels: 6, model_channels: 32, out_channels: 3, num_res_blocks: 1,
                channel_mult: [1], attention_resolutions: [1], num_heads: 1, dim_head: 8 }
    """

  private struct Home {
    let folder: ScratchFolder
    let config: String
    let weights: String
    let picture: String

    init(_ yaml: String = UpscaleForeignTests.yaml) throws {
      folder = try ScratchFolder()
      config = try folder.write(yaml, to: "unet.yaml")
      weights = "\(folder.path)/last.ckpt"
      picture = "\(folder.path)/picture.png"
      try ShapesDataset(size: 16, seed: 1, count: 1).image(0).writePNG(to: picture)
      let text = """
        model: { kind: efficient_unet, channels: 32, multipliers: [1], blocks: 1,
          attention_factors: [1], heads: 1, head_width: 8, linear_attention: true,
          context_channels: 3 }
        """
      let model = try RunConfig(ConfigDocument(text: text, name: "x")).model
      let specification = try model.specification(latentShape: [32, 32, 3])
      // As Lightning has it: the network and its average, under the names of their wrappers.
      let wrappers = [("model.net.", UInt64(4)), ("ema_model.ema_model.net.", 5)]
      let networks = wrappers.map { prefix, seed in
        let network = Network(specification)
        network.store.allocate(training: false)
        network.store.initialize(seed: seed)
        let head = network.store["out.2.weight"]!.tensor
        Philox(seed: seed, stream: .noise).fillNormal(head.base, count: head.count)
        return (prefix, network)
      }
      let tensors = networks.flatMap { prefix, network in
        parameterTensors(of: network.store, in: network.store.values!.base).map {
          SafetensorsTensor(prefix + $0.name, $0.dtype, $0.dims, $0.data)
        }
      }
      _ = try withExtendedLifetime(networks) {
        try SafetensorsWriter.write(tensors, to: weights)
      }
    }

    func upscale(_ words: String...) throws -> (Answer, picture: Data?) {
      let out = "\(folder.path)/\(UUID().uuidString)"
      let answer = try latentflow(
        ["upscale", config, picture, "--out", out, "--threads", "1", "--steps", "2"] + words)
      return (answer, FileManager.default.contents(atPath: "\(out)/picture.png"))
    }
  }

  @Test("a YAML file and a checkpoint enlarge a picture, by the average or by the last parameters")
  func weights() throws {
    let home = try Home()
    let averaged = try home.upscale("--weights", home.weights, "--json")
    try #require(averaged.0.status == 0, "\(averaged.0)")
    let picture = try #require(averaged.picture)
    let size = try ImageBuffer(encoded: Array(picture), name: "result").size
    #expect(size == ImageSize(width: 32, height: 32))
    for word in [
      "\"noising_step\" : 100", "\"start\" : \"noised\"", "\"upsampling\" : \"bilinear\"",
    ] {
      #expect(averaged.0.output.contains(word), "\(word) in \(averaged.0)")
    }
    let last = try home.upscale("--weights", home.weights, "--no-ema")
    #expect(last.0.status == 0 && last.picture != nil && last.picture != picture)
  }

  @Test("what is missing is said with what to do")
  func missing() throws {
    let home = try Home()
    let none = try home.upscale()
    #expect(none.0.status == 64 && none.0.errors.contains("expected --weights FILE"), "\(none.0)")
    let other = try home.upscale("--weights", "nowhere.ckpt")
    #expect(other.0.status == 66 && other.0.errors.contains("nowhere.ckpt: no such file"))
    let bare = try latentflow(
      ["upscale", home.weights, home.picture, "--out", "\(home.folder.path)/out"])
    #expect(
      bare.status == 78 && bare.errors.contains("FMBoost's YAML file with --weights"), "\(bare)")
    let unsized = try Home(Self.yaml.replacing("    high_res_size: 32\n", with: ""))
    let size = try unsized.upscale("--weights", unsized.weights)
    #expect(size.0.status == 78 && size.0.errors.contains("high_res_size"), "\(size.0)")
  }
}
