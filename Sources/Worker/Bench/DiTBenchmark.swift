import FlowCore
import FlowModels
import FlowNN
import FlowTensor

/// The benchmark's work: DiT on latents 4×32×32, forward and the differentiated forward of a step.
public final class DiTBenchmark {
  public let configuration: DiT.Configuration
  public let batch: Int
  let store = ParameterStore()
  let model: DiT
  private let x: Tensor
  private let t: Tensor
  private let target: Tensor
  private let labels: [Int]

  /// - Parameter name: a published size such as `S/2`
  public init?(name: String, batch: Int = 8) {
    let parts = name.split(separator: "/")
    guard parts.count == 2, let size = DiT.Configuration.size(String(parts[0])),
      let patch = Int(parts[1])
    else { return nil }
    self.batch = batch
    configuration = DiT.Configuration(
      resolution: 32, channels: 4, patch: patch, width: size.width, depth: size.depth,
      heads: size.heads, classes: 1000, hasNullClass: true)
    model = DiT(configuration, store.scope)
    store.allocate(training: true)
    store.initialize(seed: 1)
    let shape: Shape = [batch, 32, 32, 4]
    x = Philox(seed: 1, stream: .noise).normal(shape)
    target = Philox(seed: 2, stream: .noise).normal(shape)
    t = Tensor([batch], (0..<batch).map { Philox(seed: 1, stream: .time, index: $0).uniform() })
    labels = (0..<batch).map { $0 * 7 % 1000 }
  }

  public func forward() -> Tensor { model(x, t: t, labels: labels) }

  public func forwardBackward() -> Float {
    store.resetGradients()
    let tape = Tape()
    let loss = meanSquaredError(model(tape.ride(constant: x), t: t, labels: labels), target)
    tape.backward(from: loss)
    store.settleGradients()
    return loss.item
  }
}
