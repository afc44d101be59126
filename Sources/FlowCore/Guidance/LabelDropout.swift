import FlowTensor

/// Replaces labels by the null class at random in training, so that one network learns both the
/// conditional and the unconditional field (Ho & Salimans 2022, arXiv 2207.12598, algorithm 1).
public struct LabelDropout: Equatable, Sendable {
  public let probability: Float
  public let nullLabel: Int

  public init(probability: Float, nullLabel: Int) {
    precondition((0...1).contains(probability), "label dropout with probability \(probability)")
    self.probability = probability
    self.nullLabel = nullLabel
  }

  /// - Parameters:
  ///   - labels: [b]
  ///   - indices: sample indices in the data set, [b]
  public func callAsFunction(
    _ labels: [Int], indices: [Int], step: Int, seed: UInt64
  ) -> [Int] {
    precondition(labels.count == indices.count, "\(labels.count) labels, \(indices.count) indices")
    return zip(labels, indices).map { label, index in
      let draw = Philox(seed: seed, stream: .labelDrop, step: step, index: index).uniform()
      return draw < probability ? nullLabel : label
    }
  }
}
