import FlowComm
import FlowData
import FlowModels
import FlowNN
import FlowTensor

/// Stable Diffusion's autoencoder at its full width, with weights that are a function of their
/// names, on one large image.
public struct LargeImageBenchmark {
  public enum Direction: String, Sendable, CaseIterable {
    case encode, decode
  }

  private let stage: FirstStage

  public init() {
    let store = ParameterStore()
    let network = AutoencoderKL(AutoencoderKL.Configuration(), store.scope)
    store.allocate(training: false)
    for p in store.parameters {
      let values = HashedWeights.tensor(p.name, p.shape, Self.rule(p))
      p.tensor.base.update(from: values.base, count: values.count)
    }
    releaseFreeTensorMemory()
    stage = FirstStage(network, store, hash: "recipe")
  }

  /// As the reference cases of hashed weights have it: nothing dies out, nothing explodes.
  private static func rule(_ p: Parameter) -> HashedWeights.Rule {
    if p.shape.rank == 1 {
      return p.name.contains("norm") && p.name.hasSuffix("weight") ? .norm : .bias
    }
    return .scale((2 / Float(p.shape.count / p.shape[0])).squareRoot())
  }

  /// An image [1, H, W, 3], or its latent [1, H/8, W/8, 4], in [−1, 1].
  public func input(_ direction: Direction, height: Int, width: Int) -> Tensor {
    let f = stage.downsamplingFactor
    return direction == .encode
      ? HashedWeights.tensor("image", [1, height, width, 3], .scale(1))
      : HashedWeights.tensor(
        "latent", [1, height / f, width / f, stage.latentChannels], .scale(1))
  }

  /// The mean of the latent, or the image. In strips, all ranks together; untiled on this one.
  public func run(
    _ direction: Direction, _ x: Tensor, untiled: Bool, _ communicator: any Communicator,
    memory: MemoryLimit?
  ) throws -> Tensor {
    switch (direction, untiled) {
    case (.encode, true): stage.encode(x).mean
    case (.decode, true): stage.decode(x)
    case (.encode, false): try stage.encode(x, sharedBy: communicator, memory: memory).mean
    case (.decode, false): try stage.decode(x, sharedBy: communicator, memory: memory)
    }
  }
}
