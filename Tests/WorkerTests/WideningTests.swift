import Diagnostics
import FlowComm
import FlowCore
import FlowData
import FlowModels
import FlowNN
import FlowTensor
import Foundation
import Testing
import Worker

/// A network of a kind that can have a context, small enough for milliseconds.
struct Widenable: CustomTestStringConvertible, Sendable {
  let name: String
  /// How many weights see the context.
  var inputs = 1
  /// - Parameter context: channels of it.
  let specification: @Sendable (_ context: Int) -> NetworkSpecification
  var testDescription: String { name }

  private static func shape(_ context: Int) -> EDMShape {
    EDMShape(
      resolution: 4, channels: 3, contextChannels: context, modelChannels: 32,
      channelMultipliers: [1, 2], blocksPerLevel: 1, attentionResolutions: [2], classes: 3)
  }

  static let all = [
    Widenable(name: "dit") {
      .dit(
        .init(
          resolution: 4, channels: 3, contextChannels: $0, patch: 2, width: 16, depth: 1, heads: 2,
          classes: 3, hasNullClass: true))
    },
    Widenable(name: "adm") { .dhariwal(.init(shape: shape($0))) },
    Widenable(name: "adm_context") {
      .dhariwal(.init(shape: shape($0), attendsToLabel: true, hasNullRow: true))
    },
    Widenable(name: "ddpm++") { .song(.init(shape: shape($0), variant: .ddpmpp)) },
    // The first residual from the input sees the context, too.
    Widenable(name: "ncsn++", inputs: 2) { .song(.init(shape: shape($0), variant: .ncsnpp)) },
    Widenable(name: "original_adm") {
      .adm(
        .init(
          resolution: 4, inChannels: 3 + $0, outChannels: 3, width: 32, multiples: [1, 2],
          residuals: 1, attentionFactors: [2], heads: 2, classes: 3))
    },
    Widenable(name: "efficient_unet") {
      .efficient(
        .init(
          resolution: 4, inChannels: 3 + $0, outChannels: 3, width: 32, multipliers: [1, 2],
          residualsPerLevel: 1, attentionFactors: [2], heads: 2, headWidth: 16))
    },
    Widenable(name: "efficient_unet behind a pool") {
      .efficient(
        .init(
          resolution: 4, inChannels: 3 + $0, outChannels: 3, width: 32, multipliers: [1, 2],
          residualsPerLevel: 1, attentionFactors: [2], heads: 2, headWidth: 16, poolFactor: 2))
    },
  ]
}

@Suite("widened networks", .serialized)
struct WideningTests {
  private static let rescaler = "rescaler.channel_mapper.weight"

  private func normal(_ shape: Shape, _ index: Int) -> Tensor {
    Philox(seed: 21, stream: .noise, index: index).normal(shape)
  }

  /// A network whose weights are noise throughout, its average something else.
  private func optimizer(
    _ network: Network, seed: UInt64
  ) throws -> DataParallelOptimizer {
    var settings = DataParallelOptimizer.Settings()
    settings.microBatches = 1
    settings.average = .constant(decay: 0.5)
    let optimizer = try DataParallelOptimizer(
      network.store, communicator: SingleRank(), settings: settings)
    optimizer.initialize(seed: seed)
    for (i, parameter) in network.store.parameters.enumerated() where parameter.isTrainable {
      let noise = Philox(seed: seed, stream: .noise, index: i).normal([parameter.shape.count])
      for k in 0..<noise.count { parameter.tensor.base[k] += 0.1 * noise.base[k] }
    }
    return optimizer
  }

  /// The weights of a network as a file.
  private func file(of network: Network) throws -> (SafetensorsFile, () -> Void) {
    let path = NSTemporaryDirectory() + "widening-\(UUID().uuidString).safetensors"
    _ = try SafetensorsWriter.write(
      parameterTensors(of: network.store, in: network.store.values!.base), to: path)
    return (try SafetensorsFile(path), { try? FileManager.default.removeItem(atPath: path) })
  }

  /// Largest difference, relative to the largest value.
  private func difference(_ a: Tensor, _ b: Tensor) -> Float {
    let largest = b.values.map(abs).max()!
    return zip(a.values, b.values).map { abs($0 - $1) }.max()! / largest
  }

  @Test("begins as the network that it was, whatever the context", arguments: Widenable.all)
  func begins(_ row: Widenable) throws {
    let narrow = Network(row.specification(0))
    _ = try optimizer(narrow, seed: 1)
    let (file, remove) = try file(of: narrow)
    defer { remove() }
    let wide = Network(row.specification(4))
    let optimizer = try optimizer(wide, seed: 2)
    let loading = try optimizer.start(from: file, strict: true, widening: wide.widening)
    #expect(loading.loaded == wide.store.parameters.count && loading.problems.isEmpty)
    #expect(loading.widened.count == row.inputs && loading.drawn.isEmpty)
    #expect(loading.news.allSatisfy { $0.contains("3 of 7 input channels read") })

    let x = normal([2, 4, 4, 3], 0)
    let labels = narrow.specification.classes > 0 ? [0, 2] : nil
    let t = Tensor([2], [0.25, 0.75])
    let before = narrow(x, t: t, condition: Condition(labels: labels))
    #expect(before.values.contains { abs($0) > 0.1 })
    for scale in [Float(0), 1, 100] {
      let context = scale * normal([2, 4, 4, 4], 1)
      let after = wide(x, t: t, condition: Condition(labels: labels, context: context))
      #expect(difference(after, before) <= 1e-6, "context times \(scale)")
    }
    // The average begins as the parameters.
    let average = try optimizer.averagedParameters()
    let values = try #require(wide.store.values)
    #expect((0..<wide.store.arenaCount).allSatisfy { average.base[$0] == values.base[$0] })
  }

  @Test("a rescaler is drawn as new, and learns from the second step on")
  func rescaler() throws {
    let row = Widenable.all[0]
    let narrow = Network(row.specification(0))
    _ = try optimizer(narrow, seed: 1)
    let (file, remove) = try file(of: narrow)
    defer { remove() }
    let wide = Network(
      row.specification(4), rescaler: .init(stages: 1, inChannels: 5, outChannels: 4))
    let optimizer = try optimizer(wide, seed: 2)
    let drawn = try #require(wide.store[Self.rescaler]).tensor.values
    let loading = try optimizer.start(from: file, strict: true, widening: wide.widening)
    #expect(loading.drawn == [Self.rescaler])
    #expect(loading.news.last == "\(Self.rescaler): drawn as new")
    #expect(wide.store[Self.rescaler]!.tensor.values == drawn)
    let map = (0..<128).map { Philox(seed: 9, stream: .noise).integer(below: 5, $0) }
    let shares = try #require(wide.rescaler).classShares(of: map, height: 8, width: 8)
    for step in 0..<2 {
      let same = wide.store[Self.rescaler]!.tensor.values == drawn
      #expect(same)  // behind zeros there is no gradient yet
      _ = try optimizer.step(learningRate: 0.01) { _ in
        let v = wide(
          Tape().ride(constant: normal([2, 4, 4, 3], step)), t: Tensor([2], [0.2, 0.7]),
          condition: Condition(labels: [0, 2], classShares: shares))
        return meanSquaredError(v, normal([2, 4, 4, 3], 7))
      }
    }
    #expect(wide.store[Self.rescaler]!.tensor.values != drawn)
  }

  @Test("anything else that does not fit is refused")
  func refuses() throws {
    let row = Widenable.all[0]
    func refused(_ weights: Network, by network: Network) throws -> UserError? {
      weights.store.allocate(training: false)
      let (file, remove) = try file(of: weights)
      defer { remove() }
      let optimizer = try optimizer(network, seed: 2)
      return #expect(throws: UserError.self) {
        try optimizer.start(from: file, strict: true, widening: network.widening)
      }
    }
    // More channels than there are, and other classes than there are.
    let wider = try refused(Network(row.specification(5)), by: Network(row.specification(4)))
    #expect(wider?.found == "1 tensors do not fit the network: 1 of another shape")
    var other = DiT.Configuration(
      resolution: 4, channels: 3, patch: 2, width: 16, depth: 1, heads: 2, classes: 7,
      hasNullClass: true)
    let table = try refused(Network(.dit(other)), by: Network(row.specification(4)))
    #expect(table?.advice?.contains("y_embedder.embedding_table.weight") == true)
    // A network of another number of channels of its own.
    (other.classes, other.channels) = (3, 2)
    let channels = try refused(Network(.dit(other)), by: Network(row.specification(4)))
    #expect(channels?.advice?.contains("x_embedder.proj.weight") == true)
    // Weights that know a context, without the rescaler that made it.
    let map = SpatialRescaler.Configuration(stages: 1, inChannels: 5, outChannels: 4)
    let alone = try refused(
      Network(row.specification(4)), by: Network(row.specification(4), rescaler: map))
    #expect(alone?.advice?.contains("\(Self.rescaler)") == true)
    #expect(alone?.found == "1 tensors do not fit the network: 1 missing")
  }

  @Test("part of a context that is known is kept")
  func more() throws {
    let row = Widenable.all[0]
    let (narrow, wide) = (Network(row.specification(1)), Network(row.specification(4)))
    _ = try optimizer(narrow, seed: 1)
    let (file, remove) = try file(of: narrow)
    defer { remove() }
    let optimizer = try optimizer(wide, seed: 2)
    let loading = try optimizer.start(from: file, strict: true, widening: wide.widening)
    #expect(loading.news == [
      "x_embedder.proj.weight: 4 of 7 input channels read, the others begin at zero"
    ])
    let t = Tensor([2], [0.25, 0.75])
    let (x, context) = (normal([2, 4, 4, 3], 0), normal([2, 4, 4, 4], 1))
    let first = Tensor([2, 4, 4, 1], (0..<32).map { context.values[4 * $0] })
    let before = narrow(x, t: t, condition: Condition(labels: [0, 2], context: first))
    let after = wide(x, t: t, condition: Condition(labels: [0, 2], context: context))
    #expect(difference(after, before) <= 1e-6)
  }
}
