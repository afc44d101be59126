import FlowData
import FlowMetrics
import FlowModels
import FlowTensor

/// The benchmark's work: features of random images by FID's Inception network with drawn weights,
/// and what a Fréchet distance makes of them.
public final class InceptionBenchmark {
  public let batch: Int
  private let network: InceptionV3
  private let images: Tensor

  /// - Parameter batch: images of 256×256 pixels per pass
  public init(batch: Int) throws {
    precondition(batch >= 1, "\(batch) images")
    self.batch = batch
    network = try InceptionV3(
      NamedWeights { key, shape in
        let fanIn = Float(shape.count / max(1, shape[0]))
        let rule: HashedWeights.Rule =
          shape.rank > 1
          ? .scale((6 / fanIn).squareRoot()) : key.hasSuffix("running_var") ? .positive : .bias
        return HashedWeights.tensor(key, shape, rule)
      })
    images = Tensor(uninitialized: [batch, 256, 256, 3])
    let draw = Philox(seed: 1, stream: .noise)
    for i in 0..<images.count { images.base[i] = draw.uniform(i) }
  }

  /// - Returns: [B, 2048]
  @discardableResult
  public func features() -> Tensor { network.features(images) }

  /// Moments of random features, [count, 2048].
  public static func moments(of count: Int, seed: UInt64) -> FeatureMoments {
    let block = Philox(seed: seed, stream: .noise).normal([MomentStream.blockRows, 2_048])
    var stream = MomentStream(dimension: 2_048)
    for rows in MomentStream.blocks(of: count) { stream.append(block.slice(0..<rows.count)) }
    return stream.moments()
  }
}
