import FlowCore
import FlowModels
import FlowNN
import FlowTensor
import Testing

/// A DiT that sees a context beside its state.
@Suite("DiT with a context", .serialized)
struct DiTContextTests {
  private static func configuration(context: Int) -> DiT.Configuration {
    DiT.Configuration(
      resolution: 4, channels: 3, contextChannels: context, patch: 2, width: 16, depth: 1,
      heads: 2, classes: 5, hasNullClass: true)
  }

  private func built(context: Int) -> (DiT, ParameterStore) {
    let store = ParameterStore()
    let network = DiT(Self.configuration(context: context), store.scope)
    store.allocate(training: true)
    // Weights that start at zero would hide what the context does.
    for (i, parameter) in store.parameters.enumerated() where parameter.isTrainable {
      let values = Philox(seed: 5, stream: .noise, index: i).normal([parameter.shape.count])
      for k in 0..<values.count { parameter.tensor.base[k] = 0.2 * values.base[k] }
    }
    return (network, store)
  }

  private func normal(_ shape: Shape, _ index: Int) -> Tensor {
    Philox(seed: 21, stream: .noise, index: index).normal(shape)
  }

  @Test("the context goes behind the state, and out comes a velocity of the state alone")
  func concatenates() {
    let (network, store) = built(context: 2)
    #expect(store["x_embedder.proj.weight"]!.shape == [16, 5, 2, 2])
    let (x, context) = (normal([2, 4, 4, 3], 0), normal([2, 4, 4, 2], 1))
    let t = Tensor([2], [0.3, 0.8])
    let apart = network(x, t: t, condition: Condition(labels: [1, 4], context: context))
    let together = network(
      concatenate(x, context), t: t, condition: Condition(labels: [1, 4]))
    #expect(apart.shape == [2, 4, 4, 3])
    #expect(apart.values == together.values)
    let other = network(
      x, t: t, condition: Condition(labels: [1, 4], context: normal([2, 4, 4, 2], 2)))
    #expect(apart.values != other.values)
  }

  @Test("the gradient reaches what made the context")
  func gradient() {
    let (network, store) = built(context: 2)
    let tape = Tape()
    let context = tape.ride(constant: normal([2, 4, 4, 2], 1))
    store.resetGradients()
    let v = network(
      tape.ride(constant: normal([2, 4, 4, 3], 0)), t: Tensor([1], [0.5]),
      condition: Condition(labels: [0, 5], context: context))
    tape.backward(from: meanSquaredError(v, normal([2, 4, 4, 3], 3)))
    store.settleGradients()
    let gradient = store["x_embedder.proj.weight"]!.gradient!.values!  // [16, 5, 2, 2]
    let ofContext = (0..<16).flatMap { gradient[(20 * $0 + 12)..<(20 * $0 + 20)] }
    #expect(ofContext.allSatisfy { $0 != 0 })
  }

  @Test("FLOPs count the channels of the context in the first map alone")
  func flops() {
    let difference =
      Self.configuration(context: 2).flopsPerSample - Self.configuration(context: 0).flopsPerSample
    // 2 multiply-adds × 4 tokens × width 16 × (2 channels of 2×2 patches)
    #expect(difference == 2 * 4 * 16 * 8)
  }
}
