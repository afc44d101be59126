import FlowCore
import FlowTensor
import TestSupport
import Testing

/// A first stage of little: an image is its latent twice as large; both count their calls.
private final class Calls {
  var encoded = 0
  var decoded = 0

  var codec: PixelCodec {
    PixelCodec(
      encode: { image in
        self.encoded += 1
        return downsampleNearest2(image)
      },
      decode: { latent in
        self.decoded += 1
        return upsampleNearest2(latent)
      })
  }
}

private func draw(_ shape: Shape, _ index: Int) -> Tensor {
  Philox(seed: 2, stream: .noise, index: index).normal(shape)
}

@Suite("Couplings", .serialized)
struct CouplingTests {
  /// Latents [2, 2, 2, 3] for data [2, 4, 4, 3], images of 8 × 8.
  private func batch(images: Tensor? = nil) -> CouplingBatch {
    CouplingBatch(
      noise: draw([2, 4, 4, 3], 0), filling: draw([2, 4, 4, 3], 1),
      low: LowResolution(latent: draw([2, 2, 2, 3], 2), images: images),
      imageExtent: (height: 8, width: 8))
  }

  @Test("ᾱ of the cosine falls from 1 to 0 and moves with the size; DDPM's has its known end")
  func diffusion() {
    let tables = [64.0, 32].map { ForwardDiffusion(.shiftedCosine(size: $0)).alphaBars }
    for table in tables {
      #expect(table.count == 1000 && table[0] == 1 && table[999] < 1e-6)
      #expect(zip(table, table.dropFirst()).allSatisfy { $0 >= $1 })
    }
    // Half the size, four times the signal-to-noise ratio.
    for n in [100, 400, 800] {
      let odds = tables.map { $0[n] / (1 - $0[n]) }
      #expect(abs(odds[1] / odds[0] - 4) < 1e-3)
    }
    let linear = ForwardDiffusion(.linear()).alphaBars
    #expect(linear[0] == 0.9999)
    #expect(abs(linear[999] - 4.0358e-5) < 1e-9)
  }

  @Test("a noised sample has the step's share of signal and noise")
  func noised() {
    let diffusion = ForwardDiffusion(.linear(first: 0.19, last: 0.19), steps: 2)
    let x = Tensor([1, 2], [1, 0]), noise = Tensor([1, 2], [0, 1])
    let y = diffusion.noised(x, step: 0, noise: noise).values
    #expect(abs(y[0] - 0.9) < 1e-6 && abs(y[1] - Float(0.19).squareRoot()) < 1e-6)
  }

  @Test("filling keeps latent pixels at the upper left, and noise elsewhere")
  func filled() throws {
    let batch = batch()
    let y = try LatentUpsampling.noiseFilled(batch.low!, in: batch, codec: nil)
    for i in 0..<y.count {
      let (sample, row, column, c) = (i / 48, i / 12 % 4, i / 3 % 4, i % 3)
      let low = ((sample * 2 + row / 2) * 2 + column / 2) * 3 + c
      let kept = row % 2 == 0 && column % 2 == 0
      #expect(y.base[i] == (kept ? batch.low!.latent.base[low] : batch.filling!.base[i]))
    }
  }

  @Test(
    "names of the reference",
    arguments: [
      "identity", "psu", "nearest", "bilinear", "bicubic", "area", "noise_upsampling",
      "decoder_features",
    ])
  func names(_ name: String) {
    let modes: [String: LatentUpsampling] = [
      "identity": .identity, "psu": .pixels, "nearest": .nearest, "bilinear": .bilinear,
      "bicubic": .bicubic, "area": .area, "noise_upsampling": .noiseFilled,
    ]
    #expect(LatentUpsampling.named(name) == modes[name])
    #expect(modes[name]?.referenceName ?? name == name)
    #expect(modes.count == LatentUpsampling.allCases.count)
  }

  @Test("through pixels: one decoding and one encoding serve source and context")
  func pixels() throws {
    let calls = Calls()
    let coupling = UpsamplingCoupling(start: .latent, upsampling: .pixels, context: .pixels)
    let coupled = try coupling(batch(), codec: calls.codec)
    #expect(calls.decoded == 1 && calls.encoded == 1)
    let images = resized(
      upsampleNearest2(batch().low!.latent), height: 8, width: 8, .bilinear)
    #expect(coupled.source.values == downsampleNearest2(images).values)
    #expect(coupled.context?.values == coupled.source.values && coupled.crossContext == nil)

    let given = try coupling(batch(images: draw([2, 4, 4, 3], 5)), codec: calls.codec)
    #expect(calls.decoded == 1 && calls.encoded == 2)
    #expect(given.source.values != coupled.source.values)
  }

  @Test("what a flow starts from, and the contexts beside it")
  func starts() throws {
    let batch = batch()
    let noise = try UpsamplingCoupling(
      start: .noise, upsampling: .bilinear, context: .nearest, crossContext: .identity)(
        batch, codec: nil)
    #expect(noise.source.values == batch.noise.values)
    #expect(noise.context?.values == upsampleNearest2(batch.low!.latent).values)
    #expect(noise.crossContext?.values == batch.low!.latent.values)

    let diffusion = ForwardDiffusion()
    let noised = try UpsamplingCoupling(
      start: .noised(diffusion, step: 400), upsampling: .nearest, context: nil)(batch, codec: nil)
    let expected = diffusion.noised(
      upsampleNearest2(batch.low!.latent), step: 400, noise: batch.noise)
    #expect(noised.source.values == expected.values && noised.context == nil)
    #expect(IndependentCoupling()(batch, codec: nil).source.values == batch.noise.values)
  }
}

@Suite("Optimal transport", .serialized)
struct OptimalTransportTests {
  /// Costs of n rows; `levels` of them make ties.
  static let sizes: [(n: Int, levels: Int?)] =
    (1...7).flatMap { n in [(n, nil), (n, 3)] as [(n: Int, levels: Int?)] }

  @Test("the assignment has the least cost of all permutations", arguments: sizes.indices)
  func bruteForce(_ index: Int) {
    let (n, levels) = Self.sizes[index]
    for seed in 0..<20 {
      let noise = Philox(seed: UInt64(seed), stream: .noise).normal([n * n]).values
      let costs = noise.map { value -> Double in
        levels.map { Double(Int(abs(value) * 10) % $0) } ?? Double(value)
      }
      let found = leastCostAssignment(costs, count: n)
      #expect(found.sorted() == Array(0..<n))
      let total = found.enumerated().reduce(0.0) { $0 + costs[$1.offset * n + $1.element] }
      #expect(abs(total - leastCost(costs, n, row: 0, used: [])) < 1e-9)
      #expect(found == leastCostAssignment(costs, count: n))
    }
  }

  private func leastCost(_ costs: [Double], _ n: Int, row: Int, used: Set<Int>) -> Double {
    if row == n { return 0 }
    return (0..<n).filter { !used.contains($0) }.map { column in
      costs[row * n + column] + leastCost(costs, n, row: row + 1, used: used.union([column]))
    }.min()!
  }

  @Test("where all costs tie, everybody stays")
  func ties() {
    #expect(leastCostAssignment(Array(repeating: 1, count: 25), count: 5) == Array(0..<5))
    #expect(leastCostAssignment([], count: 0) == [])
  }

  @Test("a known answer among many rows: a shifted diagonal")
  func large() {
    let n = 60
    let costs = (0..<n * n).map { i in i % n == (i / n + 7) % n ? 0.0 : 1 + Double(i % 13) }
    #expect(leastCostAssignment(costs, count: n) == (0..<n).map { ($0 + 7) % n })
  }

  @Test("sources move inside their group only, to the data they are nearest to")
  func groups() throws {
    // Data 0 … 5 with its noise handed out in the wrong order, in two groups of three.
    let order = [2, 0, 1, 4, 5, 3]
    let data = Tensor([6, 2], (0..<6).flatMap { [Float($0), Float($0)] })
    let noise = Tensor([6, 2], order.flatMap { [Float($0) + 0.1, Float($0)] })
    let coupling = OptimalTransportCoupling(IndependentCoupling(), groupSize: 3)
    let paired = try coupling(CouplingBatch(data: data, noise: noise), codec: nil).source
    #expect(paired.values == (0..<6).flatMap { [Float($0) + 0.1, Float($0)] })
    // A group of one, and sampling, leave sources where they are.
    let single = OptimalTransportCoupling(IndependentCoupling(), groupSize: 1)
    #expect(
      try single(CouplingBatch(data: data, noise: noise), codec: nil).source.values == noise.values)
    #expect(
      try coupling(CouplingBatch(noise: noise), codec: nil).source.values == noise.values)
  }

  @Test("pairs do not depend on threads")
  func threads() throws {
    let before = Threads.count
    defer { Threads.use(before) }
    let batch = CouplingBatch(data: draw([32, 8, 8, 4], 0), noise: draw([32, 8, 8, 4], 1))
    let coupling = OptimalTransportCoupling(IndependentCoupling(), groupSize: 16)
    let results = try [1, 2, 3].map { threads in
      Threads.use(threads)
      return try coupling(batch, codec: nil).source.values.map(\.bitPattern)
    }
    #expect(results[1] == results[0] && results[2] == results[0])
    #expect(results[0] != batch.noise.values.map(\.bitPattern))
  }
}
