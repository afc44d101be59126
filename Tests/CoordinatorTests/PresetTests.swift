import Coordinator
import FlowComm
import FlowCore
import FlowTensor
import Foundation
import Testing
import Worker

/// A preset of `configs/` and the parameters of its network, counted by formula from the published
/// description of the architecture.
struct Preset: Sendable, CustomTestStringConvertible {
  var file: String
  var parameters: Int
  /// Constants among them: a position embedding, resampling filters.
  var constants = 0
  /// As one says it.
  var short: String
  /// The same architecture, a few channels wide.
  var narrow: [String]
  var side: Int

  var testDescription: String { file }

  private static let dit = [
    "model.size=null", "model.width=32", "model.depth=2", "model.heads=2", "model.patch=2",
  ]

  static let all: [Preset] = [
    .init(
      file: "lfm/celeba256-adm", parameters: 153_099_524, short: "153 M",
      narrow: ["model.channels=32"], side: 8),
    .init(
      file: "lfm/celeba256-dit-l2", parameters: 457_062_416, constants: 262_144, short: "457 M",
      narrow: dit, side: 8),
    .init(
      file: "lfm/celeba512-adm", parameters: 352_160_516, short: "352 M",
      narrow: ["model.channels=32"], side: 16),
    .init(
      file: "lfm/celeba1024-adm", parameters: 531_809_620, constants: 80, short: "532 M",
      narrow: ["model.channels=32"], side: 32),
    .init(
      file: "lfm/ffhq256-adm", parameters: 406_396_468, constants: 48, short: "406 M",
      narrow: ["model.channels=32"], side: 8),
    .init(
      file: "lfm/ffhq256-dit-l2", parameters: 457_062_416, constants: 262_144, short: "457 M",
      narrow: dit, side: 8),
    .init(
      file: "lfm/bedroom256-adm", parameters: 406_396_468, constants: 48, short: "406 M",
      narrow: ["model.channels=32"], side: 8),
    .init(
      file: "lfm/bedroom256-dit-l2", parameters: 457_062_416, constants: 262_144, short: "457 M",
      narrow: dit, side: 8),
    .init(
      file: "lfm/church256-adm", parameters: 356_065_028, short: "356 M",
      narrow: ["model.channels=32"], side: 8),
    .init(
      file: "lfm/church256-dit-l2", parameters: 457_062_416, constants: 262_144, short: "457 M",
      narrow: dit, side: 8),
    .init(
      file: "lfm/imagenet256-adm", parameters: 407_420_468, constants: 48, short: "407 M",
      narrow: ["model.channels=32"], side: 8),
    .init(
      file: "lfm/imagenet256-dit-b2", parameters: 130_500_112, constants: 196_608, short: "131 M",
      narrow: dit, side: 8),
    // church256-adm with five more channels in: 5·256·3·3 weights.
    .init(
      file: "lfm/celeba256-inpainting", parameters: 356_065_028 + 11_520, short: "356 M",
      narrow: ["model.channels=32"], side: 8),
    .init(
      file: "fmboost/upscale-64-128", parameters: 305_806_340, short: "306 M",
      narrow: ["model.channels=32"], side: 8),
    .init(
      file: "lfm/celeba256-semantic", parameters: 356_074_244, short: "356 M",
      narrow: ["model.channels=32"], side: 8),
  ]

  var path: String { repository("configs/\(file).yaml") }
}

@Suite(.serialized) struct PresetTests {
  @Test("every preset of the folder is tested")
  func all() throws {
    let folders = ["lfm", "fmboost"]
    let files = try folders.flatMap { folder in
      try FileManager.default.contentsOfDirectory(atPath: repository("configs/\(folder)"))
        .map { "\(folder)/\($0.replacing(".yaml", with: ""))" }
    }
    #expect(Set(files) == Set(Preset.all.map(\.file)))
  }

  @Test("has the published number of parameters", arguments: Preset.all)
  func counts(_ preset: Preset) throws {
    let config = try RunConfig.load(file: preset.path)
    let cost = NetworkCost(
      try config.model.specification(latentShape: try #require(config.data.latentShape)))
    #expect(cost.parameterCount == preset.parameters)
    #expect(cost.parameterCount - cost.trainableCount == preset.constants)
    #expect(cost.blocks.reduce(0) { $0 + $1.count * $1.parameters } == preset.parameters)
  }

  @Test("inspect prints it", arguments: [Preset.all[1], Preset.all[11]])
  func inspect(_ preset: Preset) throws {
    let answer = try latentflow("inspect", preset.path)
    #expect(answer.status == 0 && answer.errors == "")
    #expect(answer.output.contains("(\(preset.short))"), "\(answer.output)")
    #expect(answer.output.contains("blocks.0 … blocks.\(preset.short == "457 M" ? 23 : 11)"))
  }

  @Test("trains a step and samples an image at reduced width", arguments: Preset.all)
  func trains(_ preset: Preset) throws {
    let overrides = preset.narrow + ["data.latent_shape=[\(preset.side),\(preset.side),4]"]
    let config = try RunConfig.load(file: preset.path, overrides: overrides)
    let shape = try #require(config.data.latentShape)
    let network = Network(try config.model.specification(latentShape: shape))
    var settings = DataParallelOptimizer.Settings()
    settings.microBatches = 1
    let optimizer = try DataParallelOptimizer(
      network.store, communicator: SingleRank(), settings: settings)
    optimizer.initialize(seed: 1)
    let (x, condition) = input(config, shape)
    let before = copy(network)
    let report = try optimizer.step(learningRate: 1e-3) { _ in
      let v = network(Tape().ride(constant: x), t: Tensor([1], fill: 0.5), condition: condition)
      return meanSquaredError(v, Tensor(x.shape, fill: 0.25))
    }
    #expect(report.loss.isFinite && report.gradientNorm > 0 && !report.skipped)
    #expect(copy(network) != before)
    let solver = FixedStepSolver(.euler, grid: .steps(2))
    let image = try solver.integrate(network, condition: condition, from: x, through: [1, 0]).final
    #expect(image.shape == x.shape && image.values.allSatisfy(\.isFinite))
    #expect(image.values != x.values)
  }

  /// A latent of noise, with the label and the context that the network takes.
  private func input(_ config: RunConfig, _ shape: [Int]) -> (Tensor, Condition) {
    let noise = Philox(seed: 2, stream: .noise)
    let context = config.model.contextChannels
    return (
      noise.normal(Shape([1] + shape)),
      Condition(
        labels: config.model.classes > 0 ? [3] : nil,
        context: context > 0 ? noise.normal([1, shape[0], shape[1], context]) : nil)
    )
  }

  private func copy(_ network: Network) -> [Float] {
    network.store.parameters.flatMap { $0.isTrainable ? [$0.tensor.base[0]] : [] }
  }
}
