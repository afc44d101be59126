import FlowComm
import FlowCore
import FlowData
import FlowModels
import FlowTensor
import Testing
import Worker

@Suite("strips of samples", .serialized)
struct SampleStripTests {
  private func network() -> Network {
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
    return network
  }

  private func plan(_ solver: any FlowSampler, _ path: any ProbabilityPath) -> SamplingPlan {
    SamplingPlan(
      seed: 4, solver: solver, guidance: 1.5, labels: .cycle([0, 2, 1]), path: path, scale: 2,
      itemSize: 4)
  }

  /// Largest difference in levels: products of other batches round otherwise.
  private func difference(_ a: ImageBuffer, _ b: ImageBuffer) -> Int {
    zip(a.pixels, b.pixels).map { abs(Int($0) - Int($1)) }.max()!
  }

  @Test("an interpolation begins and ends with the samples themselves")
  func interpolation() throws {
    let solver = FixedStepSolver(.heun, grid: .steps(6))
    let sampler = Sampler(network(), .identity, plan(solver, NoisingPath()))
    let samples = try #require(try sampler.images(count: 4, SingleRank())).map(\.image)
    let rows = try #require(
      try sampler.interpolations([(0, 1), (0, 3)], frames: 5, SingleRank()))
    #expect(rows.count == 2 && rows.allSatisfy { $0.frames.count == 5 })
    #expect(rows[0].labels.0 == 0 && rows[0].labels.1 == 2 && rows[1].labels.1 == 0)
    for (row, end) in zip(rows, [1, 3]) {
      #expect(difference(row.frames[0], samples[0]) <= 1)
      #expect(difference(row.frames[4], samples[end]) <= 1)
      #expect(difference(samples[0], samples[end]) > 20)
      #expect(difference(row.frames[2], samples[0]) > 5)
    }
  }

  @Test(
    "a trajectory begins with noise, ends with the sample, and predicts it",
    arguments: [NoisingPath() as any ProbabilityPath, LinearPath(), GVPPath()])
  func trajectory(_ path: any ProbabilityPath) throws {
    let solver = FixedStepSolver(.rk4, grid: .steps(8))
    let sampler = Sampler(network(), .identity, plan(solver, path))
    let samples = try #require(try sampler.images(count: 2, SingleRank())).map(\.image)
    let (start, end) = path.direction.samplingInterval
    let rows = try #require(
      try sampler.trajectories([1, 0], times: [start, 0.5, end], SingleRank()))
    #expect(rows.map(\.index) == [1, 0] && rows[0].label == 2)
    for row in rows {
      #expect(difference(row.states[2], samples[row.index]) <= 1)
      #expect(difference(row.predictions[2], samples[row.index]) <= 1)
      #expect(difference(row.states[0], samples[row.index]) > 20)
      #expect(row.predictions[0] != row.states[0])
    }
    #expect(rows[0].states[0] != rows[1].states[0])
    // On a straight path the data expected at the start is where one step of Euler's leads.
    if !(path is GVPPath) {
      let euler = plan(FixedStepSolver(.euler, grid: .steps(1)), path)
      let straight = try #require(
        try Sampler(network(), .identity, euler).images(count: 2, SingleRank())).map(\.image)
      for row in rows {
        #expect(difference(row.predictions[0], straight[row.index]) <= 1)
        #expect(difference(row.predictions[1], straight[row.index]) > 1)
      }
    }
    let karras = Sampler(
      network(), .identity, plan(SolverKind.karras(.heun).sampler(steps: 4), path))
    #expect(throws: (any Error).self) {
      try karras.trajectories([0], times: [start, end], SingleRank())
    }
  }

  @Test("the transport distance pairs each picture with its nearest partner")
  func transport() {
    func flat(_ level: UInt8) -> ImageBuffer { ImageBuffer(width: 2, height: 1, gray: level) }
    let a = [flat(0), flat(100), flat(255)]
    #expect(squaredTransportDistance(a, [a[2], a[0], a[1]]) == 0)
    let unit = 6 * (2.0 / 255) * (2.0 / 255)
    let found = squaredTransportDistance(a, [flat(250), flat(3), flat(100)])
    #expect(abs(found - unit * (9 + 0 + 25) / 3) < 1e-12)
  }
}
