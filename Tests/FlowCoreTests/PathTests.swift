import FlowCore
import FlowData
import FlowTensor
import Foundation
import Testing

@Suite("probability paths", .serialized)
struct PathTests {
  static let paths: [any ProbabilityPath] = [
    NoisingPath(), NoisingPath(sigmaMin: 0.1), LinearPath(), GVPPath(),
  ]

  /// The velocity is the derivative of the point: central differences in t, sample by sample.
  @Test("velocity is dx/dt", arguments: paths.indices)
  func derivative(_ index: Int) {
    let path = Self.paths[index]
    let x0 = Tensor([3, 2], [1, -2, 0.5, 3, -1, 0.25])
    let x1 = Tensor([3, 2], [0.5, 1, -2, 1, 2, -0.75])
    let times: [Float] = [0.125, 0.5, 0.875]
    let h: Float = 0x1p-7
    let velocity = path.sample(x0: x0, x1: x1, t: Tensor([3], times)).velocity.values
    let later = path.sample(x0: x0, x1: x1, t: Tensor([3], times.map { $0 + h })).xt.values
    let earlier = path.sample(x0: x0, x1: x1, t: Tensor([3], times.map { $0 - h })).xt.values
    for i in velocity.indices {
      #expect(abs((later[i] - earlier[i]) / (2 * h) - velocity[i]) < 5e-4)
    }
  }

  @Test("ends of the paths")
  func ends() {
    let x0 = Tensor([2, 1], [3, 3]), x1 = Tensor([2, 1], [-5, -5]), t = Tensor([2], [0, 1])
    let noising = NoisingPath(sigmaMin: 0.25).sample(x0: x0, x1: x1, t: t).xt.values
    #expect(noising == [3 - 5 * 0.25, -5])
    #expect(LinearPath().sample(x0: x0, x1: x1, t: t).xt.values == [3, -5])
    let gvp = GVPPath().sample(x0: x0, x1: x1, t: t).xt.values
    #expect(gvp[0] == 3 && abs(gvp[1] + 5) < 1e-6)
    #expect(NoisingPath().direction.samplingInterval == (1, 0))
    #expect(GVPPath().direction.samplingInterval == (0, 1))
  }

  /// FMBoost's points, velocities and losses (I_flow_core).
  @Test("reference values", arguments: ["linear", "linear_smin", "gvp"])
  func reference(_ tag: String) throws {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent()
    let c = try ReferenceCase(
      file: tests.appendingPathComponent("Fixtures/I_flow_core.safetensors").path)
    let path: any ProbabilityPath =
      switch tag {
      case "linear": LinearPath()
      case "linear_smin": LinearPath(sigmaMin: 0.01)
      default: GVPPath()
      }
    let point = path.sample(
      x0: try c.input("x0"), x1: try c.input("x1"), t: try c.input("t"),
      smoothing: try c.input("eps"))
    #expect(try relativeL2(found: point.xt, expected: c.expected("\(tag).xt")) < 2e-6)
    #expect(try relativeL2(found: point.velocity, expected: c.expected("\(tag).ut")) < 2e-6)
  }
}

@Suite("draws of training", .serialized)
struct TrainingDrawTests {
  @Test("a sample's time depends on nothing but seed, step and index")
  func timesAreFunctions() {
    for sampler in [TimeSampler.uniform, .logitNormal(), .mode(scale: 1.29)] {
      let alone = sampler.draw(indices: [7], step: 3, seed: 11).values
      let among = sampler.draw(indices: [4, 7, 9], step: 3, seed: 11).values
      #expect(alone == [among[1]])
      #expect(sampler.draw(indices: [7], step: 4, seed: 11).values != alone)
      #expect(sampler.draw(indices: [7], step: 3, seed: 12).values != alone)
    }
  }

  /// Share of draws below 1/4 and mean, against the distribution function in closed form:
  /// logit-normal F(1/4) = Φ((logit(1/4) − m)/s).
  @Test("distributions", arguments: [
    (TimeSampler.uniform, 0.25, 0.5),
    (.logitNormal(), 0.1360, 0.5),
    (.logitNormal(mean: 1, deviation: 0.5), 0.0000137, 0.7206),
    (.mode(scale: 0), 0.25, 0.5),
    (.mode(scale: 1), 0.1535, 0.5),
  ])
  func distributions(_ sampler: TimeSampler, _ belowQuarter: Double, _ mean: Double) {
    let count = 40_000
    let times = sampler.draw(indices: Array(0..<count), step: 0, seed: 5).values
    #expect(times.allSatisfy { (0...1).contains($0) })
    let share = Double(times.count { $0 < 0.25 }) / Double(count)
    #expect(abs(share - belowQuarter) < 0.01, "share \(share)")
    #expect(abs(Double(times.reduce(0, +)) / Double(count) - mean) < 0.01)
  }

  @Test("label dropout", arguments: [Float(0), 0.1, 1])
  func dropout(_ probability: Float) {
    let drop = LabelDropout(probability: probability, nullLabel: 16)
    let indices = Array(0..<20_000)
    let labels = indices.map { $0 % 16 }
    let dropped = drop(labels, indices: indices, step: 2, seed: 1)
    let share = Float(dropped.count { $0 == 16 }) / Float(indices.count)
    #expect(abs(share - probability) < (probability == 0.1 ? 0.01 : 1e-9))
    #expect(zip(labels, dropped).allSatisfy { $1 == $0 || $1 == 16 })
    // Whether a sample loses its label does not depend on its batch.
    for index in 0..<50 {
      #expect((drop([3], indices: [index], step: 2, seed: 1) == [16]) == (dropped[index] == 16))
    }
  }
}
