import FlowCore
import FlowTensor

/// What the samples of a batch are given beside noise and label.
public struct Givens {
  /// What a coupling by up-sampling starts from.
  public var low: LowResolution?
  /// What stands beside the state, [b, H, W, Cc]: a masked latent and its mask.
  public var context: Tensor?
  /// Of a label map, [b, H, W, classes].
  public var classShares: Tensor?

  public init(
    low: LowResolution? = nil, context: Tensor? = nil, classShares: Tensor? = nil
  ) {
    (self.low, self.context, self.classShares) = (low, context, classShares)
  }
}

/// Where the samples of a task get what they are given; any rank may ask for any of them.
public protocol GivenSource {
  var count: Int { get }
  /// [H, W, C] of every sample's state.
  var latentShape: [Int] { get }
  /// - Parameter range: of sample indices; those from `count` on fill an item up, and whatever they
  ///   are given is thrown away.
  /// - Throws: `UserError` naming the file that does not serve.
  func givens(_ range: Range<Int>) throws -> Givens
}

/// A batch on its way to where its flow starts.
struct Departure {
  /// x1 while training, [b, H, W, C].
  var data: Tensor?
  /// Standard normal, [b, H, W, C].
  var noise: Tensor
  /// A second draw of the same shape.
  var filling: () -> Tensor
  var givens: Givens
  var labels: [Int]?
  /// Image pixels per latent pixel along each axis.
  var factor: Int

  /// - Returns: where the flow starts, [b, H, W, C], and what the field is told on the way.
  func coupled(
    by coupling: any Coupling, codec: PixelCodec?
  ) throws -> (source: Tensor, Condition) {
    let batch = CouplingBatch(
      data: data, noise: noise, filling: coupling.fillsWithNoise ? filling() : nil,
      low: givens.low,
      imageExtent: (height: noise.shape[1] * factor, width: noise.shape[2] * factor))
    let coupled = try coupling(batch, codec: codec)
    return (
      coupled.source,
      Condition(
        labels: labels, context: coupled.context ?? givens.context,
        crossContext: coupled.crossContext, classShares: givens.classShares)
    )
  }
}

extension FirstStage {
  /// The first stage as a coupling sees it. Latents are the means of the posterior.
  public func codec(scale: Float) -> PixelCodec {
    PixelCodec(
      encode: { scale * self.encode($0).mean }, decode: { self.decode((1 / scale) * $0) })
  }
}
