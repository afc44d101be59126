import FlowComm
import FlowCore
import FlowModels
import FlowNN
import FlowTensor

/// The benchmark's work: a published DiT on random latents 4×32×32; a forward pass, or a whole step
/// (forward, backward, AdamW, running average) with the code that trains.
public final class DiTBenchmark {
  public static let resolution = 32

  public let specification: NetworkSpecification
  public let batch: Int
  /// Made by the first forward pass or step: neither takes the other's memory.
  private lazy var inference = makeInference()
  private var training: (Network, DataParallelOptimizer)?
  private let x: Tensor
  private let t: Tensor
  private let target: Tensor
  private let labels: [Int]

  /// - Parameter name: a published size such as `DiT-S/2`; nil if there is none of that name.
  public init?(name: String, batch: Int = 8) {
    let parts = name.replacing("DiT-", with: "").split(separator: "/")
    guard parts.count == 2, let size = DiT.Configuration.size(String(parts[0])),
      let patch = Int(parts[1]), Self.resolution % patch == 0
    else { return nil }
    self.batch = batch
    specification = .dit(
      DiT.Configuration(
        resolution: Self.resolution, channels: 4, patch: patch, width: size.width,
        depth: size.depth, heads: size.heads, classes: 1000, hasNullClass: true))
    let shape: Shape = [batch, Self.resolution, Self.resolution, 4]
    x = Philox(seed: 1, stream: .noise).normal(shape)
    target = Philox(seed: 2, stream: .noise).normal(shape)
    t = Tensor([batch], (0..<batch).map { Philox(seed: 1, stream: .time, index: $0).uniform() })
    labels = (0..<batch).map { $0 * 7 % 1000 }
  }

  public func forward() {
    _ = inference(x, t: t, condition: Condition(labels: labels))
  }

  public func step() throws {
    let (network, optimizer) = try training ?? makeTraining()
    training = (network, optimizer)
    _ = try optimizer.step(learningRate: 1e-4) { _ in
      meanSquaredError(
        network(Tape().ride(constant: x), t: t, condition: Condition(labels: labels)), target)
    }
  }

  private func makeInference() -> Network {
    let network = Network(specification)
    network.store.allocate(training: false)
    network.store.initialize(seed: 1)
    return network
  }

  private func makeTraining() throws -> (Network, DataParallelOptimizer) {
    let network = Network(specification)
    var settings = DataParallelOptimizer.Settings()
    settings.microBatches = 1
    settings.average = .constant(decay: 0.9999)
    let optimizer = try DataParallelOptimizer(
      network.store, communicator: SingleRank(), settings: settings)
    optimizer.initialize(seed: 1)
    return (network, optimizer)
  }
}

/// One product of two 2048×2048 matrices: the machine's own rate, by which shares are measured.
public struct GemmBenchmark {
  public static let side = 2048
  private let a = Philox(seed: 1, stream: .noise).normal([side, side])
  private let b = Philox(seed: 2, stream: .noise).normal([side, side])
  private let c = Tensor(uninitialized: [side, side])

  public init() {}

  public static let flops = 2 * Double(side * side * side)

  public func run() {
    let n = Self.side
    Gemm.multiply(.normal, .normal, m: n, n: n, k: n, a.base, n, b.base, n, beta: 0, c.base, n)
  }
}
