import FlowCore
import FlowData
import FlowModels
import FlowNN
import FlowTensor
import Foundation
import Testing

private func weights(of name: String) throws -> [String: Tensor] {
  let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Fixtures")
  return try ReferenceCase(file: fixtures.appendingPathComponent("\(name).safetensors").path)
    .weights()
}

/// A network with memory for its parameters and gradients.
private func built<Network: VelocityNetwork>(
  _ configuration: Network.Configuration, seed: UInt64 = 3
) -> (Network, ParameterStore) {
  let store = ParameterStore()
  let network = Network(configuration, store.scope)
  store.allocate(training: true)
  store.initialize(seed: seed)
  return (network, store)
}

private func normal(_ shape: Shape, _ index: Int) -> Tensor {
  Philox(seed: 21, stream: .noise, index: index).normal(shape)
}

/// A case's name, what its header says, and a count of its multiply-adds from the shapes and places
/// of the weights alone.
private struct Case: CustomTestStringConvertible, Sendable {
  let name: String
  let flops: Double
  let configuration: ADMUNet.Configuration
  var testDescription: String { name }

  static let all = [
    Case(
      name: "C_adm_wide_recipe", flops: 199_524_352,
      configuration: .init(
        resolution: 8, width: 64, multiples: [1, 2], residuals: 2, attentionFactors: [1, 2],
        heads: 4, usesScaleShiftNorm: true)),
    Case(
      name: "C_adm_additive_avgpool_recipe", flops: 57_901_056,
      configuration: .init(
        resolution: 8, width: 64, multiples: [1, 1], residuals: 1, attentionFactors: [2],
        heads: 4, order: .partsFirst, resamplesByConvolution: false)),
    Case(
      name: "C_adm_ssn_updown_inpaint_in_recipe", flops: 70_459_392,
      configuration: .init(
        resolution: 8, inChannels: 9, width: 64, multiples: [1, 1], residuals: 1,
        attentionFactors: [2], heads: 2, decoderHeads: 4, usesScaleShiftNorm: true,
        resamplesInResiduals: true, resamplesByConvolution: false)),
    Case(
      name: "C_adm_updown_newattn_cls_recipe", flops: 69_763_072,
      configuration: .init(
        resolution: 8, width: 64, multiples: [1, 1], residuals: 1, attentionFactors: [2],
        heads: 4, headChannels: 16, order: .partsFirst, resamplesInResiduals: true, classes: 6)),
    Case(
      name: "C_adm_ssn_legacyattn", flops: 19_374_080,
      configuration: .init(
        resolution: 8, width: 32, multiples: [1, 1], residuals: 1, attentionFactors: [1, 2],
        heads: 4, usesScaleShiftNorm: true)),
  ]
}

private let layout = LayoutUNet.Configuration(
  trunk: .init(
    resolution: 4, width: 32, multiples: [1], residuals: 1, attentionFactors: [1], heads: 2,
    usesScaleShiftNorm: true), contextWidth: 16)

@Suite("ADM U-Nets' configurations")
struct ADMConfigurationTests {
  private func expectParameters(_ store: ParameterStore, of name: String) throws {
    let found = Dictionary(
      uniqueKeysWithValues: store.parameters.map { ($0.name, $0.shape.description) })
    #expect(try found == weights(of: name).mapValues { $0.shape.description })
  }

  @Test("parameters are the reference's, by name and shape", arguments: Case.all)
  fileprivate func parameters(_ row: Case) throws {
    let store = ParameterStore()
    _ = ADMUNet(row.configuration, store.scope)
    try expectParameters(store, of: row.name)
  }

  @Test("so are those with a spatial transformer")
  func layoutParameters() throws {
    let store = ParameterStore()
    _ = LayoutUNet(layout, store.scope)
    try expectParameters(store, of: "C_adm_layout_attn")
  }

  @Test("cost equals a count over the weights", arguments: Case.all)
  fileprivate func flops(_ row: Case) {
    #expect(row.configuration.flopsPerSample == row.flops)
  }

  @Test("cost of the transformers, for one token of context and for five")
  func layoutFlops() {
    var more = layout
    more.contextTokens = 5
    more.trunk.decoderHeads = 3  // means nothing
    #expect(layout.flopsPerSample == 6_635_520 && more.flaw == nil)
    // Per transformer and token: keys and values of width 32 from 16, scores and sums over 16
    // pixels.
    let perToken: Double = 2 * (2 * 16 * 32 + 2 * 16 * 32)
    #expect(more.flopsPerSample - layout.flopsPerSample == 4 * 4 * perToken)
  }

  @Test("what cannot be built is named")
  func flaws() {
    let good = Case.all[0].configuration
    #expect(good.flaw == nil && layout.flaw == nil)
    let rows: [(String, (inout ADMUNet.Configuration) -> Void)] = [
      ("width of 40", { $0.width = 40 }), ("0 levels", { $0.multiples = [] }),
      ("multiple of nan", { $0.multiples = [.nan, 1] }),
      ("width of 16", { $0.multiples = [0.25, 1] }),
      ("resolution 9", { $0.resolution = 9 }), ("3 heads", { $0.heads = 3 }),
      ("5 heads", { $0.decoderHeads = 5 }), ("heads of 24 channels", { $0.headChannels = 24 }),
      ("heads of 0 channels", { $0.headChannels = 0 }), ("2 input channels", { $0.inChannels = 2 }),
      ("below 1", { $0.residuals = 0 }), ("-1 classes", { $0.classes = -1 }),
    ]
    for (words, change) in rows {
      var bad = good
      change(&bad)
      #expect(bad.flaw?.contains(words) == true, "\(words): \(bad.flaw ?? "no flaw")")
    }
  }
}

@Suite("ADM U-Nets", .serialized)
struct ADMTests {
  /// Two levels at the least width that 32 groups allow.
  private let tiny = ADMUNet.Configuration(
    resolution: 4, width: 32, multiples: [1, 1], residuals: 1, attentionFactors: [2], heads: 2,
    usesScaleShiftNorm: true, classes: 3, hasNullClass: true)

  /// Loss of fitting a fixed velocity, over a few steps of plain gradient descent.
  private func losses<Network: VelocityNetwork>(
    _ network: Network, _ store: ParameterStore, _ x: Tensor, _ condition: Condition
  ) -> [Float] {
    let (t, target) = (Tensor([2], [0.2, 0.7]), normal([2, 4, 4, 4], 9))
    return (0..<6).map { _ in
      let tape = Tape()
      let loss = meanSquaredError(
        network(tape.ride(constant: x), t: t, condition: condition), target)
      store.resetGradients()
      tape.backward(from: loss)
      store.settleGradients()
      let (values, gradients) = (store.values!.base, store.gradients!.base)
      for i in 0..<store.arenaCount { values[i] -= 0.05 * gradients[i] }
      return loss.item
    }
  }

  @Test("start at velocity zero and learn", arguments: [true, false], [true, false])
  func learn(scaleShift: Bool, inResiduals: Bool) {
    var c = tiny
    (c.usesScaleShiftNorm, c.resamplesInResiduals) = (scaleShift, inResiduals)
    let (network, store): (ADMUNet, _) = built(c)
    let x = normal([2, 4, 4, 4], 0)
    let first = network(x, t: Tensor([1], [0.5]), condition: Condition(labels: [0, 2]))
    #expect(first.shape == [2, 4, 4, 4] && first.values.allSatisfy { $0 == 0 })
    let found = losses(network, store, x, Condition(labels: [0, 2]))
    #expect(zip(found, found.dropFirst()).allSatisfy { $0 > $1 }, "\(found)")
    #expect(found.last! < 0.9 * found[0], "\(found)")
  }

  @Test("with a spatial transformer, too, and the context matters then")
  func layoutLearns() {
    let (network, store): (LayoutUNet, _) = built(layout)
    let x = normal([2, 4, 4, 4], 0)
    let context = normal([2, 5, 16], 1)
    let found = losses(network, store, x, Condition(context: context))
    #expect(zip(found, found.dropFirst()).allSatisfy { $0 > $1 }, "\(found)")
    let answers = [context, normal([2, 7, 16], 2)].map {
      network(x, t: Tensor([1], [0.5]), condition: Condition(context: $0)).values
    }
    #expect(answers[0] != answers[1])
  }

  @Test("a context beside the state is the same as behind it")
  func context() {
    var c = tiny
    c.inChannels = 9
    let (network, store): (ADMUNet, _) = built(c)
    let (x, context) = (normal([2, 4, 4, 4], 0), normal([2, 4, 4, 5], 1))
    _ = losses(network, store, x, Condition(labels: [0, 1], context: context))
    let t = Tensor([1], [0.5])
    let beside = network(x, t: t, condition: Condition(labels: [0, 1], context: context))
    let behind = network(concatenate(x, context), t: t, condition: Condition(labels: [0, 1]))
    #expect(beside.values == behind.values && beside.values != x.values)
    #expect(beside.shape == [2, 4, 4, 4] && c.latentShape == [4, 4, 4])
  }

  @Test("guidance mixes the label with the null class, which no label means")
  func guidance() {
    let (network, store): (ADMUNet, _) = built(tiny)
    #expect(store["label_emb.weight"]?.shape == [4, 128] && tiny.nullLabel == 3)
    let (x, t) = (normal([2, 4, 4, 4], 0), Tensor([2], [0.3, 0.6]))
    _ = losses(network, store, x, Condition(labels: [0, 1]))
    let labelled = network(x, t: t, condition: Condition(labels: [0, 1])).values
    let null = network(x, t: t, condition: Condition(labels: [3, 3])).values
    #expect(network(x, t: t, condition: .none).values == null && labelled != null)
    let guided = GuidedField(network, scale: 3, nullLabel: 3)(
      x, t: t, condition: Condition(labels: [0, 1])
    ).values
    for i in guided.indices {
      #expect(abs(guided[i] - (null[i] + 3 * (labelled[i] - null[i]))) < 1e-4)
    }
  }
}

@Suite("Spatial rescaler", .serialized)
struct SpatialRescalerTests {
  @Test("shares of classes are the means of a one-hot map, halved again and again")
  func shares() {
    let rescaler = SpatialRescaler(
      .init(stages: 2, inChannels: 5, outChannels: 3), ParameterStore().scope)
    let map = (0..<2 * 8 * 12).map { ($0 * $0 + $0 / 7) % 5 }
    let oneHot = Tensor([2, 8, 12, 5], fill: 0)
    for (pixel, label) in map.enumerated() { oneHot.base[pixel * 5 + label] = 1 }
    let found = rescaler.classShares(of: map, height: 8, width: 12)
    #expect(found.shape == [2, 2, 3, 5])
    #expect(found.values == downsampleAverage2(downsampleAverage2(oneHot)).values)
    #expect(Set(found.values).count > 3)
  }
}
