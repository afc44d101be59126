import FlowCore
import FlowData
import FlowModels
import FlowNN
import FlowTensor
import Foundation
import TestSupport
import Testing

private func network(
  _ c: EfficientUNet.Configuration, allocated: Bool = true
) -> (EfficientUNet, ParameterStore) {
  let store = ParameterStore()
  let network = EfficientUNet(c, store.scope)
  if allocated {
    store.allocate(training: false)
    store.initialize(seed: 1)
  }
  return (network, store)
}

private let small = EfficientUNet.Configuration(
  resolution: 8, inChannels: 5, outChannels: 3, width: 32, multipliers: [1, 1],
  residualsPerLevel: 1, attentionFactors: [2], heads: 2, headWidth: 8)

@Suite("EfficientUNet", .serialized)
struct EfficientUNetTests {
  @Test("parameters have the reference's names and shapes, in its order")
  func names() throws {
    let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Fixtures")
    let cases: [(String, (inout EfficientUNet.Configuration) -> Void)] = [
      ("D_eunet_linear_ssn", { ($0.inChannels, $0.outChannels, $0.heads) = (8, 4, 4) }),
      (
        "D_eunet_nocontext_pool4",
        {
          ($0.inChannels, $0.outChannels, $0.multipliers) = (4, 4, [1])
          ($0.attentionFactors, $0.poolFactor) = ([1], 4)
        }
      ),
    ]
    for (name, change) in cases {
      var c = small
      change(&c)
      let path = fixtures.appendingPathComponent("\(name).safetensors").path
      let expected = try ReferenceCase(file: path).weights().mapValues(\.shape)
      let found = network(c, allocated: false).1.parameters
      #expect(Dictionary(uniqueKeysWithValues: found.map { ($0.name, $0.shape) }) == expected)
    }
  }

  @Test("the released network has 306 million parameters")
  func released() {
    let c = EfficientUNet.Configuration(
      resolution: 128, inChannels: 8, outChannels: 4, width: 128, multipliers: [1, 2, 4, 8],
      residualsPerLevel: 3, attentionFactors: [8, 16], linearAttention: false)
    #expect(network(c, allocated: false).1.parameterCount == 305_806_340)
    #expect(c.latentShape == [128, 128, 4] && c.contextChannels == 4 && c.nullLabel == nil)
  }

  @Test("what cannot be built says why")
  func flaws() {
    let changes: [(String, (inout EfficientUNet.Configuration) -> Void)] = [
      ("multipliers [2, 1]", { $0.multipliers = [2, 1] }), ("multipliers []", { $0.multipliers = [] }),
      ("widths of 48", { $0.width = 48 }), ("2 channels in, 3 out", { $0.inChannels = 2 }),
      ("0 heads", { $0.heads = 0 }), ("a pool factor of 3", { $0.poolFactor = 3 }),
      ("latents of 9 pixels", { $0.resolution = 9 }),
    ]
    #expect(small.flaw == nil)
    for (words, change) in changes {
      var c = small
      change(&c)
      #expect(c.flaw?.contains(words) == true, "\(words)")
    }
  }

  @Test("state and context may come apart or side by side; a new network's velocity is 0")
  func context() {
    let (net, store) = network(small)
    let x = Philox(seed: 1, stream: .noise).normal([2, 8, 8, 3])
    let context = Philox(seed: 2, stream: .noise).normal([2, 8, 8, 2])
    let t = Tensor([2], [0.25, 0.5])
    #expect(net(x, t: t, condition: Condition(context: context)).values.allSatisfy { $0 == 0 })

    for parameter in store.parameters where parameter.shape.rank > 1 {
      let draw = 0.1 * Philox(seed: 3, stream: .noise).normal(parameter.shape)
      parameter.tensor.base.update(from: draw.values, count: draw.count)
    }
    let apart = net(x, t: t, condition: Condition(context: context))
    #expect(apart.shape == x.shape)
    #expect(net(concatenate(x, context), t: t, condition: .none).values == apart.values)
    #expect(apart.values.contains { $0 != 0 })
    // Any multiple of the factor, not only the resolution, and any rectangle.
    let tall = concatenate(Tensor([1, 12, 4, 3], fill: 1), Tensor([1, 12, 4, 2], fill: 0))
    #expect(net(tall, t: Tensor([1], [0]), condition: .none).shape == [1, 12, 4, 3])
  }

  @Test("a cross-context is attended to place by place, and changes nothing at the start")
  func crossContext() {
    var c = small
    c.crossContextChannels = 4
    let (net, store) = network(c)
    let (plain, plainStore) = network(small)
    let x = Philox(seed: 1, stream: .noise).normal([1, 8, 8, 5])
    let cross = Philox(seed: 2, stream: .noise).normal([1, 4, 4, 4])
    let t = Tensor([1], [0.5])
    func fill(_ store: ParameterStore, outputs: Float) {
      for parameter in store.parameters where parameter.shape.rank > 1 {
        let scale: Float = parameter.name.contains("cross.to_out") ? outputs : 0.1
        let index = parameter.name.utf8.reduce(0) { ($0 &* 31 &+ Int($1)) % 65_521 }
        let draw = scale * Philox(seed: 3, stream: .noise, index: index).normal(parameter.shape)
        parameter.tensor.base.update(from: draw.values, count: draw.count)
      }
    }
    fill(plainStore, outputs: 0)
    fill(store, outputs: 0)
    let expected = plain(x, t: t, condition: .none).values
    #expect(net(x, t: t, condition: Condition(crossContext: cross)).values == expected)

    fill(store, outputs: 1)
    let attended = net(x, t: t, condition: Condition(crossContext: cross)).values
    #expect(relativeError(attended, expected) > 1e-3)
    // The same tokens at other places are another context.
    let turned = Tensor(
      [1, 4, 4, 4], (0..<16).reversed().flatMap { i in (0..<4).map { cross.base[i * 4 + $0] } })
    let moved = net(x, t: t, condition: Condition(crossContext: turned)).values
    #expect(relativeError(moved, attended) > 1e-4)
  }

  /// Every weight of a convolution once per pixel that it makes, every linear map once.
  @Test("operations are those of the parameters and of attention", arguments: [1, 2])
  func operations(_ pool: Int) {
    var c = small
    (c.resolution, c.poolFactor, c.linearAttention) = (16, pool, false)
    let full = (16 / pool) * (16 / pool)
    let low = ["input_blocks.2", "input_blocks.3", "middle", "output_blocks.0", "output_blocks.1."]
    var sum = 0
    for parameter in network(c, allocated: false).1.parameters where parameter.shape.rank > 1 {
      let name = parameter.name
      let pixels: Int
      if name.contains("embed") || name.contains("emb_layers") {
        pixels = 1
      } else if low.contains(where: name.hasPrefix) && name != "output_blocks.1.2.conv.weight" {
        pixels = full / 4
      } else {
        pixels = full
      }
      sum += pixels * parameter.shape.count
    }
    // Four attentions: q·kᵀ and the mean of v, over all tokens of all heads.
    sum += 4 * 2 * (full / 4) * (full / 4) * 2 * 8
    #expect(c.flopsPerSample == 2 * Double(sum))
  }
}
