import Diagnostics
import FlowComm
import FlowData
import FlowModels
import FlowNN
import FlowTensor
import Testing
import Worker

/// An autoencoder that the ranks of a test share, by the rules of the reference's hashed cases.
private final class Model: @unchecked Sendable {
  let network: AutoencoderKL
  private let store = ParameterStore()

  init(_ c: AutoencoderKL.Configuration) {
    network = AutoencoderKL(c, store.scope)
    store.allocate(training: false)
    for p in store.parameters {
      let isNorm = p.name.contains("norm") && p.name.hasSuffix("weight")
      let rule = p.shape.rank > 1
        ? HashedWeights.Rule.scale((2 / Float(p.shape.count / p.shape[0])).squareRoot())
        : isNorm ? .norm : .bias
      p.tensor.base.update(
        from: HashedWeights.tensor(p.name, p.shape, rule).values, count: p.shape.count)
    }
  }
}

private func relativeError(_ a: [Float], _ b: [Float]) -> Double {
  guard a.count == b.count else { return .infinity }
  var (error, norm) = (0.0, 0.0)
  for i in a.indices {
    error += (Double(a[i]) - Double(b[i])) * (Double(a[i]) - Double(b[i]))
    norm += Double(b[i]) * Double(b[i])
  }
  return (error / norm).squareRoot()
}

@Suite("Large images", .serialized)
struct LargeImageTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var widths = [8, 16, 16]
    var layers = 1
    var attends = true
    var height: Int
    var width: Int

    var testDescription: String { "\(height)×\(width), widths \(widths)" }
    var configuration: AutoencoderKL.Configuration {
      AutoencoderKL.Configuration(
        blockChannels: widths, layersPerBlock: layers, groups: 4, midAttention: attends)
    }
    var factor: Int { configuration.downsamplingFactor }

    func input(_ direction: AutoencoderKL.Direction) -> Tensor {
      let shape: Shape = direction == .encoding
        ? [1, height, width, 3] : [1, height / factor, width / factor, 4]
      return HashedWeights.tensor("input", shape, .scale(1))
    }
  }

  static let cases = [
    // 13 latent rows, which no number of ranks but one divides.
    Case(height: 52, width: 36),
    // Two latent rows: less than a halo on each of two ranks, none at all on some of four.
    Case(height: 8, width: 12),
    // Changes of width on every level, two residuals.
    Case(widths: [8, 12, 16, 24], layers: 2, height: 64, width: 24),
    // One level, no attention, odd sides.
    Case(widths: [12], attends: false, height: 17, width: 9),
  ]

  static let directions = [AutoencoderKL.Direction.encoding, .decoding]

  private func values(
    _ model: Model, _ direction: AutoencoderKL.Direction, _ x: Tensor, _ plan: StripPlan? = nil
  ) throws -> [Float] {
    switch (direction, plan) {
    case (.encoding, nil): model.network.encode(x).mean.values
    case (.decoding, nil): model.network.decode(x).values
    case (.encoding, let plan?): try model.network.encode(x, plan).mean.values
    case (.decoding, let plan?): try model.network.decode(x, plan).values
    }
  }

  /// From none to the least that is possible: all ways of a residual, strips down to two rows.
  private func limits(
    _ model: Model, _ direction: AutoencoderKL.Direction, _ c: Case, ranks: Int
  ) throws -> [Int?] {
    let plan = try model.network.stripPlan(
      direction, height: c.height, width: c.width,
      ranks: RowRanks(rank: 0, count: ranks) { _, _, _ in })
    let (most, least) = (plan.peakBytes, plan.leastBytes)
    #expect(least < most)
    return [nil, (most + least) / 2, least]
  }

  @Test(
    "equal to the whole to rounding, with equal bits on 1 to 4 ranks under any limit",
    arguments: cases, directions)
  func equal(_ c: Case, _ direction: AutoencoderKL.Direction) throws {
    let model = Model(c.configuration)
    let whole = try values(model, direction, c.input(direction))
    var first: [Float]?
    for ranks in 1...4 {
      for limit in try limits(model, direction, c, ranks: ranks) {
        let results = try ThreadCommunicator.run(ranks: ranks) { communicator in
          let plan = try model.network.stripPlan(
            direction, height: c.height, width: c.width, ranks: RowRanks(communicator),
            limit: limit)
          return try values(model, direction, c.input(direction), plan)
        }
        for result in results {
          let error = relativeError(result, whole)
          #expect(error < 1e-5, "\(ranks) ranks, limit \(limit ?? 0)")
          let isEqual = result == first ?? result
          #expect(isEqual, "\(ranks) ranks, limit \(limit ?? 0)")
          first = first ?? result
        }
      }
    }
  }

  @Test("takes no more memory than planned, and a limit less than none", arguments: directions)
  func memory(_ direction: AutoencoderKL.Direction) throws {
    let c = Case(widths: [32, 64, 64], layers: 2, height: 192, width: 128)
    let model = Model(c.configuration)
    let x = c.input(direction)
    func peak(_ plan: StripPlan?) throws -> Int {
      releaseFreeTensorMemory()
      let before = tensorMemory().held
      setTensorMemoryCeiling(plan.map { before + $0.peakBytes })
      defer { setTensorMemoryCeiling(nil) }
      _ = peakTensorMemory(restart: true)
      _ = try values(model, direction, x, plan)
      return peakTensorMemory() - before
    }
    let whole = try peak(nil)
    var peaks: [Int] = []
    for limit in try limits(model, direction, c, ranks: 1) {
      let plan = try model.network.stripPlan(
        direction, height: c.height, width: c.width, limit: limit)
      #expect(plan.peakBytes <= limit ?? .max)
      peaks.append(try peak(plan))
      // What the products keep for themselves is in no plan.
      #expect(peaks.last! < plan.peakBytes + plan.peakBytes / 20 + 500_000)
      #expect(peaks.last! > plan.peakBytes / 2)
    }
    #expect(peaks[0] < whole && peaks[1] < peaks[0] && peaks[2] < whole / 3)
  }

  @Test("what cannot be done says the least that can")
  func refused() throws {
    let model = Model(Self.cases[0].configuration)
    func plan(_ limit: Int?) throws -> StripPlan {
      try model.network.stripPlan(
        .decoding, height: 256, width: 256, limit: limit, occupied: 7_000_000,
        subject: "--memory 1M")
    }
    let least = try plan(nil).leastBytes
    #expect(try plan(least).peakBytes == least)
    let error = #expect(throws: UserError.self) { _ = try plan(least - 1) }
    #expect(error?.status == .usage && error?.subject == "--memory 1M")
    #expect(error?.expected == "at least \((least + 7_999_999) / 1_000_000) MB")
  }

  @Test("limits as people write them")
  func text() {
    #expect(MemoryLimit("3G")?.bytes == 3_000_000_000)
    #expect(MemoryLimit("2.5GB")?.bytes == 2_500_000_000)
    #expect(MemoryLimit("800MiB")?.bytes == 838_860_800)
    #expect(MemoryLimit("1k")?.bytes == 1000)
    for text in ["", "3", "G", "-3G", "3T", "0G", "nanG", "1.2.3M", "3 G"] {
      #expect(MemoryLimit(text) == nil, "\(text)")
    }
  }
}
