import FlowTensor

/// How far real and completed images can be told apart by a linear machine on their features.
/// Zhao et al. 2021, «Large scale image completion via co-modulated generative adversarial
/// networks», arXiv 2103.10428, section 4.
public struct InceptionDiscrimination: Equatable, Sendable {
  /// What the machine takes one pair for.
  public struct Outcome: Equatable, Sendable {
    /// The fake looks more real than its own original.
    public let fakeWins: Bool
    /// Of the two images, those on the wrong side: 0 to 2.
    public let wrong: Int
  }

  /// Of each pair, in order.
  public let outcomes: [Outcome]

  /// - Parameters:
  ///   - real, fake: [N, D]; row i of one belongs to row i of the other.
  public init(real: Tensor, fake: Tensor) {
    precondition(real.shape == fake.shape, "pairs of \(real.shape) and \(fake.shape)")
    let machine = LinearSVM(positive: real, negative: fake)
    outcomes = zip(machine.scores(real), machine.scores(fake)).map { real, fake in
      Outcome(fakeWins: fake > real, wrong: (real <= 0 ? 1 : 0) + (fake > 0 ? 1 : 0))
    }
  }

  /// P-IDS: the share of pairs in which the fake looks more real than its own original.
  public var paired: Double { paired(among: outcomes.indices) }

  /// U-IDS: the share of all images on the wrong side.
  public var unpaired: Double { unpaired(among: outcomes.indices) }

  /// P-IDS of some pairs, by the machine that knows all of them.
  public func paired(among pairs: some Collection<Int>) -> Double {
    Double(pairs.count { outcomes[$0].fakeWins }) / Double(pairs.count)
  }

  /// U-IDS of some pairs, likewise.
  public func unpaired(among pairs: some Collection<Int>) -> Double {
    Double(pairs.reduce(0) { $0 + outcomes[$1].wrong }) / Double(2 * pairs.count)
  }
}
