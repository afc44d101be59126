import Diagnostics
import FlowComm
import FlowData
import FlowModels
import FlowNN
import FlowTensor
import Foundation
import Testing
import Worker

/// An autoencoder whose weights the ranks of a test read together.
private final class Model: @unchecked Sendable {
  let network: AutoencoderKL
  private let store = ParameterStore()

  init(_ c: AutoencoderKL.Configuration) {
    network = AutoencoderKL(c, store.scope)
    store.allocate(training: false)
    for p in store.parameters {
      // The rules of the reference's cases: every norm scales, no activation dies out.
      let fanIn = p.shape.count / max(1, p.shape[0])
      let isNorm = p.name.contains("norm") && p.name.hasSuffix("weight")
      let rule = isNorm
        ? HashedWeights.Rule.norm
        : p.shape.rank == 1 ? .bias : .scale((2 / Float(fanIn)).squareRoot())
      p.tensor.base.update(
        from: HashedWeights.tensor(p.name, p.shape, rule).values, count: p.shape.count)
    }
  }
}

private func input(_ name: String, _ shape: Shape) -> Tensor {
  HashedWeights.tensor(name, shape, .scale(1))
}

private func relativeError(_ a: [Float], _ b: [Float]) -> Double {
  precondition(a.count == b.count)
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
    var attends = true
    /// Of the image.
    var size: (height: Int, width: Int)
    var ranks: Int

    var testDescription: String { "\(size.height)×\(size.width) on \(ranks), widths \(widths)" }
    var configuration: AutoencoderKL.Configuration {
      AutoencoderKL.Configuration(
        blockChannels: widths, layersPerBlock: 1, groups: 4, midAttention: attends)
    }
  }

  static let cases = [
    Case(size: (24, 16), ranks: 1), Case(size: (52, 36), ranks: 2), Case(size: (44, 64), ranks: 3),
    // Fewer latent rows than a halo on each rank; then fewer than ranks.
    Case(size: (20, 24), ranks: 4), Case(size: (8, 12), ranks: 3),
    Case(widths: [8, 16, 24, 24], size: (64, 24), ranks: 2),
    Case(widths: [12], attends: false, size: (17, 9), ranks: 2),
  ]

  /// Limits from none to the least that is possible, which makes all three ways of a residual and
  /// strips of two rows.
  private func limits(
    _ model: Model, _ direction: AutoencoderKL.Direction, _ c: Case
  ) throws -> [Int?] {
    let ranks = RowRanks(rank: 0, count: c.ranks) { _, _, _ in }
    let plan = try model.network.stripPlan(
      direction, height: c.size.height, width: c.size.width, ranks: ranks)
    let (most, least) = (plan.peakBytes, plan.leastBytes)
    #expect(throws: UserError.self) {
      _ = try model.network.stripPlan(
        direction, height: c.size.height, width: c.size.width, ranks: ranks, limit: least - 1)
    }
    return [nil, (most + least) / 2, least]
  }

  @Test("decoding in strips equals the whole, with equal bits on one rank", arguments: cases)
  func decode(_ c: Case) throws {
    let model = Model(c.configuration)
    let f = c.configuration.downsamplingFactor
    let (h, w) = (c.size.height / f, c.size.width / f)
    let whole = model.network.decode(input("z", [1, h, w, 4])).values
    var first: [Float]?
    for ranks in [1, c.ranks] {
      for limit in try limits(model, .decoding, c) {
        let results = try ThreadCommunicator.run(ranks: ranks) { communicator in
          let plan = try model.network.stripPlan(
            .decoding, height: c.size.height, width: c.size.width, ranks: RowRanks(communicator),
            limit: limit)
          return try model.network.decode(input("z", [1, h, w, 4]), plan).values
        }
        for result in results {
          #expect(relativeError(result, whole) < 1e-5)
          first = first ?? result
          let same = result == first
          #expect(same, "on \(ranks) ranks with limit \(limit ?? 0)")
        }
      }
    }
  }
}
