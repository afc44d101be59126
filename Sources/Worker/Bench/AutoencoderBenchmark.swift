import FlowModels
import FlowNN
import FlowTensor

/// The benchmark's work: an autoencoder's training step without the optimiser, and decoding.
public final class AutoencoderBenchmark {
  public let configuration: AutoencoderKL.Configuration
  public let batch: Int
  /// Extent of the square images.
  public let resolution: Int
  let store = ParameterStore()
  let model: AutoencoderKL
  private let image: Tensor
  private let noise: Tensor

  public init(
    _ configuration: AutoencoderKL.Configuration, batch: Int, resolution: Int, training: Bool
  ) {
    self.configuration = configuration
    self.batch = batch
    self.resolution = resolution
    model = AutoencoderKL(configuration, store.scope)
    store.allocate(training: training)
    store.initialize(seed: 1)
    let extent = resolution / configuration.downsamplingFactor
    image = Philox(seed: 1, stream: .noise).normal(
      [batch, resolution, resolution, configuration.inChannels])
    noise = Philox(seed: 2, stream: .noise).normal(
      [batch, extent, extent, configuration.latentChannels])
  }

  /// Encode, sample, decode; reconstruction plus 1e-6 of the divergence; all gradients.
  public func forwardBackward() -> Float {
    store.resetGradients()
    let tape = Tape()
    let posterior = model.encode(tape.ride(constant: image))
    let decoded = model.decode(posterior.sample(noise: noise))
    let loss = meanSquaredError(decoded, image) + 1e-6 * posterior.meanKL()
    tape.backward(from: loss)
    store.settleGradients()
    return loss.item
  }

  public func decode() -> Tensor { model.decode(noise) }

  public func encode() -> Tensor { model.encode(image).mean }
}
