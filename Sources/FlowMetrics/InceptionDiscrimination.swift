import FlowTensor

/// How far real and completed images can be told apart by a linear machine on their features.
/// Zhao et al. 2021, «Large scale image completion via co-modulated generative adversarial
/// networks», arXiv 2103.10428, section 4.
public struct InceptionDiscrimination: Equatable, Sendable {
  /// P-IDS: the share of pairs in which the fake looks more real than its own original.
  public let paired: Double
  /// U-IDS: the share of all images on the wrong side.
  public let unpaired: Double

  /// - Parameters:
  ///   - real, fake: [N, D]; row i of one belongs to row i of the other.
  public init(real: Tensor, fake: Tensor) {
    precondition(real.shape == fake.shape, "pairs of \(real.shape) and \(fake.shape)")
    let machine = LinearSVM(positive: real, negative: fake)
    let (reals, fakes) = (machine.scores(real), machine.scores(fake))
    let wrong = reals.count { $0 <= 0 } + fakes.count { $0 > 0 }
    unpaired = Double(wrong) / Double(reals.count + fakes.count)
    paired = Double(zip(reals, fakes).count { $1 > $0 }) / Double(reals.count)
  }
}
