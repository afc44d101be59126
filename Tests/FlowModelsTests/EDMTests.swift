import Diagnostics
import FlowCore
import FlowModels
import FlowNN
import FlowTensor
import TestSupport
import Testing

/// The four networks at a width at which a step takes milliseconds.
struct TinyEDM: CustomTestStringConvertible, Sendable {
  let name: String
  let build: @Sendable (EDMShape, Scope) -> any VelocityNetwork
  var testDescription: String { name }

  static let all = [
    TinyEDM(name: "adm") { DhariwalUNet(.init(shape: $0), $1) },
    TinyEDM(name: "adm_context") {
      DhariwalUNet(.init(shape: $0, attendsToLabel: true, hasNullRow: true), $1)
    },
    TinyEDM(name: "adm_context without a null row") {
      DhariwalUNet(.init(shape: $0, attendsToLabel: true), $1)
    },
    TinyEDM(name: "ddpm++") { SongUNet(.init(shape: $0, variant: .ddpmpp), $1) },
    TinyEDM(name: "ncsn++") { SongUNet(.init(shape: $0, variant: .ncsnpp), $1) },
  ]

  static let shape = EDMShape(
    resolution: 4, channels: 3, contextChannels: 2, modelChannels: 32, channelMultipliers: [1, 2],
    blocksPerLevel: 1, attentionResolutions: [2], classes: 3)

  /// Parameters as `initialize` draws them, or noise in all that train: the last convolutions start
  /// at zero, and nothing in front of them would show.
  func network(noisy: Bool) -> (any VelocityNetwork, ParameterStore) {
    let store = ParameterStore()
    let network = build(Self.shape, store.scope)
    store.allocate(training: true)
    store.initialize(seed: 1)
    for (index, parameter) in store.parameters.enumerated() where noisy && parameter.isTrainable {
      let tensor = parameter.tensor
      let noise = Philox(seed: 2, stream: .noise, index: index).normal(tensor.shape)
      for i in 0..<tensor.count { tensor.base[i] += 0.1 * noise.base[i] }
    }
    return (network, store)
  }

  var x: Tensor { Philox(seed: 3, stream: .noise).normal([2, 4, 4, 3]) }
  var context: Tensor { Philox(seed: 4, stream: .noise).normal([2, 4, 4, 2]) }
  var t: Tensor { Tensor([2], [0.25, 0.75]) }

  func velocity(_ network: any VelocityNetwork, _ labels: [Int]?) -> [Float] {
    network(x, t: t, condition: Condition(labels: labels, context: context)).values
  }
}

@Suite("EDM U-Nets", .serialized)
struct EDMTests {
  @Test("steps along the gradient lower the loss", arguments: TinyEDM.all)
  func training(_ row: TinyEDM) {
    let (network, store) = row.network(noisy: false)
    let target = Philox(seed: 5, stream: .noise).normal(row.x.shape)
    var losses: [Float] = []
    for _ in 0..<8 {
      let tape = Tape()
      let v = network(
        tape.ride(constant: row.x), t: row.t,
        condition: Condition(labels: [2, 3], context: row.context))
      let loss = meanSquaredError(v, target)
      losses.append(loss.item)
      store.resetGradients()
      tape.backward(from: loss)
      store.settleGradients()
      for i in 0..<store.arenaCount { store.values!.base[i] -= 0.02 * store.gradients!.base[i] }
    }
    // The first convolution that is not zero is the last: the loss falls from the first step on.
    #expect(zip(losses, losses.dropFirst()).allSatisfy { $0 > $1 }, "\(losses)")
  }

  @Test("no label is the null label, and labels matter", arguments: TinyEDM.all)
  func nullLabel(_ row: TinyEDM) throws {
    let (network, _) = row.network(noisy: true)
    let null = try #require(network.configuration.nullLabel)
    #expect(null == 3)
    let unlabelled = row.velocity(network, nil)
    let mixed = row.velocity(network, [1, null])
    #expect(row.velocity(network, [null, null]) == unlabelled)
    // The second sample alone is unlabelled.
    #expect(relativeError(Array(mixed.suffix(48)), Array(unlabelled.suffix(48))) < 1e-5)
    #expect(relativeError(Array(mixed.prefix(48)), Array(unlabelled.prefix(48))) > 1e-3)
    #expect(relativeError(row.velocity(network, [0, 0]), row.velocity(network, [1, 1])) > 1e-3)
  }

  @Test("guidance is extrapolation from the null label", arguments: TinyEDM.all)
  func guidance(_ row: TinyEDM) throws {
    let (network, _) = row.network(noisy: true)
    func guided(_ field: some VelocityField) -> [Float] {
      GuidedField(field, scale: 2, nullLabel: 3)(
        row.x, t: row.t, condition: Condition(labels: [0, 2], context: row.context)).values
    }
    let (with, without) = (row.velocity(network, [0, 2]), row.velocity(network, nil))
    let expected = zip(with, without).map { 2 * $0 - $1 }
    #expect(relativeError(guided(network), expected) < 1e-5)
  }

  @Test("a constant of the state dictionary has no gradient and its reference's value")
  func constants() {
    let (_, store) = TinyEDM.all[4].network(noisy: false)
    let filter = store["enc.2x2_down.skip.resample_filter"]
    #expect(filter?.isTrainable == false)
    #expect(filter?.tensor.values.prefix(4) == [0.015625, 0.046875, 0.046875, 0.015625])
    #expect(store["map_noise.freqs"]?.shape == [32])
    #expect(store["map_noise.freqs"]?.isTrainable == false)
  }

  /// Table 7 of the paper: DDPM++ for CIFAR-10 (without its 1,152 parameters of augmentation
  /// labels), DDPM++ for 64×64 images, ADM for ImageNet 64×64.
  @Test("published networks have their published number of parameters")
  func published() {
    func millions(_ build: (Scope) -> Any) -> Double {
      let store = ParameterStore()
      _ = build(store.scope)
      let trained = store.parameters.filter(\.isTrainable).reduce(0) { $0 + $1.shape.count }
      return (Double(trained) / 1e5).rounded() / 10
    }
    var shape = EDMShape(
      resolution: 32, channels: 3, modelChannels: 128, channelMultipliers: [2, 2, 2],
      blocksPerLevel: 4, attentionResolutions: [16], classes: 0)
    #expect(millions { SongUNet(.init(shape: shape, variant: .ddpmpp), $0) } == 55.7)
    shape.resolution = 64
    shape.channelMultipliers = [1, 2, 2, 2]
    #expect(millions { SongUNet(.init(shape: shape, variant: .ddpmpp), $0) } == 61.8)
    shape = EDMShape(
      resolution: 64, channels: 3, modelChannels: 192, channelMultipliers: [1, 2, 3, 4],
      blocksPerLevel: 3, attentionResolutions: [32, 16, 8], classes: 1000)
    #expect(millions { DhariwalUNet(.init(shape: shape), $0) } == 295.9)
  }

  @Test("extents that no network has are refused", arguments: 0..<9)
  func refused(_ index: Int) {
    var shape = TinyEDM.shape
    var attends = false
    let expected: String
    switch index {
    case 0: (shape.channelMultipliers, expected) = ([], "0 levels")
    case 1: (shape.channelMultipliers, expected) = ([1, 1, 1, 1], "a latent of 4 pixels")
    case 2: (shape.modelChannels, expected) = (30, "30 channels")
    case 3: (shape.channels, expected) = (0, "0 and 2 channels")
    case 4: (shape.blocksPerLevel, expected) = (0, "2 levels of 0 blocks")
    // 144 channels in 32 groups.
    case 5: (shape.modelChannels, shape.channelMultipliers, expected) = (144, [1], "144 channels")
    case 6: (shape.classes, attends, expected) = (0, true, "without classes")
    case 7: (shape.attentionResolutions, attends, expected) = ([4], true, "of 32 channels")
    default: (shape.modelChannels, shape.channelMultipliers, expected) = (224, [1], "3 attention")
    }
    let configuration = DhariwalUNet.Configuration(shape: shape, attendsToLabel: attends)
    #expect {
      try configuration.validate("file", at: "model", status: .config)
    } throws: { error in
      let error = error as? UserError
      return error?.status == .config && error?.found.contains(expected) == true
    }
  }
}
