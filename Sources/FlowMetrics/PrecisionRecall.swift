import FlowTensor

/// Improved precision and recall: the share of samples within the manifold of the real images and
/// the share of real images within that of the samples, a manifold being the balls around its
/// points that reach to their k-th neighbours.
/// Kynkäänniemi et al. 2019, arXiv 1904.06991, section 2.
public struct PrecisionRecall: Equatable, Sendable {
  public let precision: Double
  public let recall: Double

  /// - Parameters:
  ///   - real, fake: features, [N, D] and [M, D]
  ///   - neighbor: k; less than N and M.
  public init(real: Tensor, fake: Tensor, neighbor k: Int = 3) {
    let (reals, fakes) = (FeaturePoints(real), FeaturePoints(fake))
    self.init(
      samplesHeld: FeatureManifold(reals, neighbor: k).contains(fakes),
      realsHeld: FeatureManifold(fakes, neighbor: k).contains(reals))
  }

  /// - Parameters:
  ///   - samplesHeld: whether the real images' manifold holds each sample, [M]
  ///   - realsHeld: whether the samples' manifold holds each real image, [N]
  public init(samplesHeld: [Bool], realsHeld: [Bool]) {
    (precision, recall) = (share(samplesHeld), share(realsHeld))
  }
}

private func share(_ flags: [Bool]) -> Double {
  Double(flags.count { $0 }) / Double(flags.count)
}
