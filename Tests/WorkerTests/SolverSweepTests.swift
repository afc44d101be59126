import FlowComm
import FlowCore
import FlowModels
import FlowTensor
import Testing
import Worker

@Suite("sweeps over solvers", .serialized)
struct SolverSweepTests {
  /// Nearer to the velocity's exact flow with more steps; a row per combination.
  @Test("table and plot")
  func table() throws {
    let network = Network(
      .dit(
        DiT.Configuration(
          resolution: 4, channels: 3, patch: 2, width: 16, depth: 1, heads: 2, classes: 3,
          hasNullClass: true)))
    network.store.allocate(training: false)
    for (i, parameter) in network.store.parameters.enumerated() where parameter.isTrainable {
      Philox(seed: 1, stream: .initialization, index: i)
        .fillNormal(parameter.tensor.base, count: parameter.tensor.count)
      for j in 0..<parameter.tensor.count { parameter.tensor.base[j] *= 0.2 }
    }
    let plan = SamplingPlan(
      seed: 4, solver: FixedStepSolver(.rk4, grid: .steps(40)), guidance: 1,
      labels: .uniform(classes: 3), path: NoisingPath(), scale: 1, itemSize: 4)
    let rank = SingleRank()
    let exact = try #require(
      try Sampler(network, .identity, plan).images(count: 6, rank)
    ).map(\.image)
    let sweep = SolverSweep(
      solvers: [.rungeKutta(.euler), .adamsBashforth(order: 2), .rungeKutta(.bosh3)],
      steps: [2, 16], tolerances: [1e-1, 1e-4], guidance: [1, 2])
    let rows = try sweep.rows(plan) { setting, plan in
      let samples = try #require(try Sampler(network, .identity, plan).images(count: 6, rank))
      let differences = zip(samples, exact).flatMap { sample, image in
        zip(sample.image.pixels, image.pixels).map { abs(Double($0) - Double($1)) }
      }
      return setting.row(
        evaluations: Double(samples.reduce(0) { $0 + $1.evaluations }) / 6, imagesPerSecond: 1,
        distances: [differences.reduce(0, +) + 0.5, Double(samples.count)])
    }
    #expect(rows.count == 12)
    #expect(rows.map(\.solver).prefix(6) == ["euler", "euler", "ab2", "ab2", "bosh3", "bosh3"])
    #expect(rows.prefix(4).map(\.evaluations) == [2, 16, 3, 17])
    #expect(rows[4].setting == "tolerance 0.1" && rows[1].setting == "16 steps")
    for i in [0, 2, 4] { #expect(rows[i + 1].distances[0] < rows[i].distances[0], "\(rows[i])") }
    #expect(rows.allSatisfy { $0.distances[1] == 6 && $0.imagesPerSecond > 0 })
    // Guided samples are others.
    #expect(rows[7].distances[0] > rows[1].distances[0])
    let plot = SolverSweep.plot(rows, column: 0, title: "sweep", named: "L1")
    #expect(plot.curves.count == 6 && plot.curves.allSatisfy { $0.points.count == 2 })
    #expect(plot.curves[0].name == "euler, cfg 1")
  }
}
