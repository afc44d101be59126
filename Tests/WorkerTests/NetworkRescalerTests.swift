import FlowComm
import FlowCore
import FlowModels
import FlowNN
import FlowTensor
import Testing
import Worker

/// A network that sees a semantic map through a rescaler of its own.
@Suite("networks with a rescaler", .serialized)
struct NetworkRescalerTests {
  private static let map = SpatialRescaler.Configuration(stages: 1, inChannels: 5, outChannels: 2)
  private static let name = "rescaler.channel_mapper.weight"

  private static let specification = NetworkSpecification.dit(
    DiT.Configuration(
      resolution: 4, channels: 3, contextChannels: 2, patch: 2, width: 16, depth: 1, heads: 2,
      classes: 3, hasNullClass: true))

  private func fill(_ store: ParameterStore) {
    for (i, parameter) in store.parameters.enumerated() where parameter.isTrainable {
      let values = Philox(seed: 1, stream: .noise, index: i).normal([parameter.shape.count])
      for k in 0..<values.count { parameter.tensor.base[k] = 0.2 * values.base[k] }
    }
  }

  private func normal(_ shape: Shape, _ index: Int) -> Tensor {
    Philox(seed: 21, stream: .noise, index: index).normal(shape)
  }

  /// Shares of two maps of 8×8 pixels.
  private func shares(_ rescaler: SpatialRescaler, _ seed: Int) -> Tensor {
    let draw = Philox(seed: 9, stream: .noise, index: seed)
    let labels = (0..<128).map { draw.integer(below: 5, $0) }
    return rescaler.classShares(of: labels, height: 8, width: 8)
  }

  @Test("what the rescaler makes of the shares is the context")
  func context() throws {
    let network = Network(Self.specification, rescaler: Self.map)
    network.store.allocate(training: false)
    fill(network.store)
    let plain = Network(Self.specification)
    plain.store.allocate(training: false)
    fill(plain.store)
    let rescaler = try #require(network.rescaler)
    let (x, t, shares) = (normal([2, 4, 4, 3], 0), Tensor([2], [0.2, 0.7]), shares(rescaler, 0))
    let found = network(x, t: t, condition: Condition(labels: [0, 2], classShares: shares))
    let expected = plain(x, t: t, condition: Condition(labels: [0, 2], context: rescaler(shares)))
    #expect(found.values == expected.values)
    // Guidance doubles the shares with the rest.
    let guided = GuidedField(network, scale: 2, nullLabel: 3)(
      x, t: t, condition: Condition(labels: [0, 2], classShares: shares))
    let null = network(x, t: t, condition: Condition(labels: [3, 3], classShares: shares))
    for ((g, c), u) in zip(zip(guided.values, found.values), null.values) {
      #expect(abs(g - (2 * c - u)) < 1e-4)
    }
  }

  @Test("the rescaler is trained with the network, and its average follows")
  func learns() throws {
    let network = Network(Self.specification, rescaler: Self.map)
    var settings = DataParallelOptimizer.Settings()
    settings.microBatches = 1
    settings.average = .constant(decay: 0.5)
    let optimizer = try DataParallelOptimizer(
      network.store, communicator: SingleRank(), settings: settings)
    optimizer.initialize(seed: 4)
    fill(network.store)
    let shares = shares(try #require(network.rescaler), 0)
    let parameter = try #require(network.store[Self.name])
    let before = parameter.tensor.values
    func average() throws -> [Float] {
      let all = try optimizer.averagedParameters()
      return (0..<10).map { all.base[parameter.range.lowerBound + $0] }
    }
    for step in 0..<2 {
      let last = try average()
      _ = try optimizer.step(learningRate: 0.01) { _ in
        let v = network(
          Tape().ride(constant: normal([2, 4, 4, 3], step)), t: Tensor([2], [0.2, 0.7]),
          condition: Condition(labels: [0, 2], classShares: shares))
        return meanSquaredError(v, normal([2, 4, 4, 3], 7))
      }
      // It begins as a copy of what the first step made.
      for ((a, b), value) in zip(zip(try average(), last), parameter.tensor.values) {
        #expect(abs(a - (step == 0 ? value : (b + value) / 2)) < 1e-6)
      }
    }
    let after = parameter.tensor.values
    #expect(after.count == 10)
    // AdamW moves whatever has a gradient by about the learning rate.
    for (a, b) in zip(before, after) { #expect(abs(a - b) > 1e-3 && abs(a - b) < 0.1) }
  }
}
