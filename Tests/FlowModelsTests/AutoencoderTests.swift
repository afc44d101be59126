import Diagnostics
import FlowData
import FlowModels
import FlowNN
import FlowTensor
import Foundation
import TestSupport
import Testing

private func weights(of name: String) throws -> [String: Tensor] {
  let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Fixtures")
  return try ReferenceCase(file: fixtures.appendingPathComponent("\(name).safetensors").path)
    .weights()
}

private func parameterNames(_ c: AutoencoderKL.Configuration) -> [String] {
  let store = ParameterStore()
  _ = AutoencoderKL(c, store.scope)
  return store.parameters.map(\.name)
}

@Suite("Autoencoder")
struct AutoencoderTests {
  /// What the cases' headers say, and what their shapes must tell.
  static let cases: [(String, [Int], layers: Int, groups: Int)] = [
    ("E_vae_diffusers", [32, 32], 1, 16), ("E_vae_diffusers_recipe", [64, 128], 2, 32),
    ("E_vae_ldm_recipe", [64, 128], 2, 32), ("E_vae_pair_ldm", [32, 32], 1, 32),
  ]

  @Test("shapes tell the configuration, in both schemes", arguments: cases.indices)
  func inferred(_ index: Int) throws {
    let (name, widths, layers, groups) = Self.cases[index]
    let shapes = try weights(of: name).mapValues(\.shape)
    let expected = AutoencoderKL.Configuration(
      blockChannels: widths, layersPerBlock: layers, groups: groups)
    #expect(try AutoencoderKL.Configuration(inferredFrom: shapes, groups: groups) == expected)
    // As part of a whole latent diffusion checkpoint, among other tensors.
    var whole = Dictionary(
      uniqueKeysWithValues: shapes.map { ("first_stage_model.\($0.key)", $0.value) })
    whole["model.diffusion_model.out.2.weight"] = [4, 320, 3, 3]
    #expect(try AutoencoderKL.Configuration(inferredFrom: whole, groups: groups) == expected)
  }

  @Test("both schemes name exactly the network's parameters", arguments: cases.indices)
  func keys(_ index: Int) throws {
    let (name, widths, layers, groups) = Self.cases[index]
    let c = AutoencoderKL.Configuration(
      blockChannels: widths, layersPerBlock: layers, groups: groups)
    let stored = try weights(of: name).keys
    let found = AutoencoderKeys(c).keys(in: stored)
    #expect(Set(found.keys) == Set(parameterNames(c)))
    #expect(Set(found.values) == Set(stored))
  }

  @Test("translation to LDM names and back", arguments: [[64], [32, 32], [128, 256, 512, 512]])
  func translation(_ widths: [Int]) throws {
    let c = AutoencoderKL.Configuration(blockChannels: widths)
    let keys = AutoencoderKeys(c)
    let names = parameterNames(c)
    let translated = names.compactMap(keys.ldm)
    #expect(Set(translated).count == names.count)
    #expect(translated.map(keys.parameter(forKey:)) == names)
    #expect(keys.parameter(forKey: "loss.logvar") == nil)
    #expect(keys.ldm("encoder.down_blocks.\(widths.count).resnets.0.conv1.weight") == nil)
  }

  @Test("decoder levels count the other way; old attention names are read")
  func examples() {
    let keys = AutoencoderKeys(AutoencoderKL.Configuration())
    #expect(
      keys.ldm("decoder.up_blocks.0.resnets.2.conv1.bias") == "decoder.up.3.block.2.conv1.bias")
    #expect(
      keys.parameter(forKey: "decoder.mid_block.attentions.0.proj_attn.weight")
        == "decoder.mid_block.attentions.0.to_out.0.weight")
  }

  @Test("the same weights under two schemes are equal parameters")
  func pair() throws {
    let c = AutoencoderKL.Configuration(blockChannels: [32, 32], layersPerBlock: 1)
    let keys = AutoencoderKeys(c)
    let (a, b) = (try weights(of: "E_vae_pair_diffusers"), try weights(of: "E_vae_pair_ldm"))
    let (named, renamed) = (keys.keys(in: a.keys), keys.keys(in: b.keys))
    for name in parameterNames(c) {
      let (first, second) = (a[named[name] ?? ""], b[renamed[name] ?? ""])
      #expect(first != nil && first?.values == second?.values, "\(name)")
    }
  }

  @Test("JSON and back; a wrong one names the file")
  func json() throws {
    let c = AutoencoderKL.Configuration(
      blockChannels: [32, 64, 64], layersPerBlock: 1, groups: 8, midAttention: false,
      scaleFactor: 0.9)
    #expect(try AutoencoderKL.Configuration(json: c.json, file: "f") == c)
    #expect(c.downsamplingFactor == 4)
    for text in ["{}", c.json.replacingOccurrences(of: "\"groups\":8", with: "\"groups\":7")] {
      let error = #expect(throws: UserError.self) {
        _ = try AutoencoderKL.Configuration(json: text, file: "some.safetensors")
      }
      #expect(error?.subject == "some.safetensors" && error?.status == .badData)
    }
  }

  @Test("what is no autoencoder is refused")
  func refused() throws {
    var shapes = try weights(of: "E_vae_pair_ldm").mapValues(\.shape)
    shapes["encoder.conv_in.weight"] = nil
    let error = #expect(throws: UserError.self) {
      _ = try AutoencoderKL.Configuration(inferredFrom: shapes)
    }
    #expect(error?.place == "tensor encoder.conv_in.weight")
    #expect(throws: UserError.self) { _ = try AutoencoderKL.Configuration(inferredFrom: [:]) }
  }
}

@Suite("Autoencoder's tensors", .serialized)
struct AutoencoderTensorTests {
  private let small = AutoencoderKL.Configuration(
    blockChannels: [8, 16, 16], layersPerBlock: 1, groups: 4)

  @Test("shapes, and equal bits with and without a tape")
  func shapes() {
    let store = ParameterStore()
    let model = AutoencoderKL(small, store.scope)
    store.allocate(training: true)
    store.initialize(seed: 4)
    let image = Philox(seed: 1, stream: .noise).normal([2, 16, 12, 3])
    let posterior = model.encode(image)
    #expect(posterior.mean.shape == [2, 4, 3, 4])
    #expect(posterior.kl().shape == [2])
    #expect(model.middleFeatures(image).shape == [2, 16])
    let decoded = model.decode(posterior.mode)
    #expect(decoded.shape == image.shape)

    let tape = Tape()
    let riding = model.encode(tape.ride(constant: image))
    #expect(riding.logvar.values == posterior.logvar.values)
    let loss = meanSquaredError(model.decode(riding.mean), image) + riding.meanKL()
    tape.backward(from: loss)
    for parameter in store.parameters { #expect(parameter.gradient?.values != nil) }
  }

  @Test("gradients of sample and divergence equal central differences")
  func posterior() {
    // Moments within the clamp: mean and logarithm of the variance side by side.
    let moments = Philox(seed: 6, stream: .noise).normal([2, 2, 3, 8])
    let noise = Philox(seed: 7, stream: .noise).normal([2, 2, 3, 4])
    let functions: [([Tensor]) -> Tensor] = [
      { Posterior(moments: $0[0]).sample(noise: noise) },
      { Posterior(moments: $0[0]).kl() },
      { Posterior(moments: $0[0]).meanKL() },
      {
        let posterior = Posterior(moments: $0[0])
        return posterior.sample(noise: noise) + posterior.mean
      },
    ]
    for f in functions {
      for comparison in compareGradients([moments], f) {
        #expect(comparison.error < 5e-4, "\(comparison)")
      }
    }
  }

  @Test("the logarithm of the variance is clamped and passes no gradient outside")
  func clamp() {
    let tape = Tape()
    let moments = tape.ride(Tensor([1, 1, 1, 6], [0, 0, 0, -40, 1, 25]))
    let posterior = Posterior(moments: moments)
    #expect(posterior.logvar.values == [-30, 1, 20])
    tape.backward(from: posterior.meanKL())
    let gradient = moments.gradient?.values ?? []
    #expect(gradient[3] == 0 && gradient[4] > 0 && gradient[5] == 0)
  }
}
