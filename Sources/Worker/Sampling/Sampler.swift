import Diagnostics
import FlowCore
import FlowData
import FlowTensor

/// Which class each sample is asked to show.
public enum LabelChoice: Equatable, Sendable {
  /// Drawn uniformly, a function of seed and sample index.
  case uniform(classes: Int)
  /// Sample i shows number i modulo count of these.
  case cycle([Int])
  /// The network takes no labels.
  case none

  func label(seed: UInt64, index: Int) -> Int? {
    switch self {
    case .uniform(let classes):
      Philox(seed: seed, stream: .sampleLabel, index: index).integer(below: classes)
    case .cycle(let labels): labels[index % labels.count]
    case .none: nil
    }
  }
}

/// Everything that the samples are a function of, beside the weights.
public struct SamplingPlan: Sendable {
  public var seed: UInt64
  public var solver: any FlowSampler
  /// Scale s of classifier-free guidance; 1 is none.
  public var guidance: Float
  /// Times of the path at which guidance applies; others use 1.
  public var guidanceInterval: ClosedRange<Float>
  public var labels: LabelChoice
  public var path: any ProbabilityPath
  /// Latents are divided by this before decoding.
  public var scale: Float
  /// What the flow starts from.
  public var coupling: any Coupling
  /// Samples of one work item. An item is always computed at its full batch, so that sample i has
  /// the same bits whatever the number of samples asked for.
  public var itemSize: Int

  public static let standardItemSize = 32

  public init(
    seed: UInt64, solver: any FlowSampler, guidance: Float,
    guidanceInterval: ClosedRange<Float> = -.infinity ... .infinity, labels: LabelChoice,
    path: any ProbabilityPath, scale: Float, coupling: any Coupling = IndependentCoupling(),
    itemSize: Int = Self.standardItemSize
  ) {
    (self.seed, self.solver, self.guidance) = (seed, solver, guidance)
    (self.guidanceInterval, self.labels, self.path) = (guidanceInterval, labels, path)
    (self.scale, self.coupling, self.itemSize) = (scale, coupling, itemSize)
  }

  /// For manifests.
  public var guidanceText: String {
    guidance == 1 || guidanceInterval == -.infinity ... .infinity
      ? "\(guidance)"
      : "\(guidance) for t in \(guidanceInterval.lowerBound)…\(guidanceInterval.upperBound)"
  }

  public func items(for count: Int) -> Int { (count + itemSize - 1) / itemSize }
}

/// What came of one work item.
public struct SampledItem {
  /// Of the first sample.
  public let firstIndex: Int
  /// [itemSize, H, W, 3] in [−1, 1]
  public let images: Tensor
  public let labels: [Int]?
  /// Evaluations of the field per sample.
  public let evaluations: [Int]
}

/// Draws samples with one rank's copy of the network.
public struct Sampler {
  let network: Network
  let firstStage: FirstStage
  let plan: SamplingPlan
  /// nil for samples of noise and label alone.
  let givens: (any GivenSource)?

  public init(
    _ network: Network, _ firstStage: FirstStage, _ plan: SamplingPlan,
    givens: (any GivenSource)? = nil
  ) {
    (self.network, self.firstStage, self.plan, self.givens) = (network, firstStage, plan, givens)
  }

  /// Samples `item`·itemSize ..< (`item` + 1)·itemSize.
  public func callAsFunction(item: Int) throws -> SampledItem {
    let first = item * plan.itemSize
    let (latents, labels, evaluations) = try latents(first..<first + plan.itemSize)
    let images = firstStage.decode((1 / plan.scale) * latents)  // [B, H, W, 3]
    return SampledItem(
      firstIndex: first, images: images, labels: labels, evaluations: evaluations)
  }

  /// Scaled latents of a range of samples, [B, h, w, C].
  func latents(_ range: Range<Int>) throws -> (Tensor, labels: [Int]?, evaluations: [Int]) {
    let drawn = range.map { plan.labels.label(seed: plan.seed, index: $0) }
    let labels = drawn.contains(nil) ? nil : drawn.compactMap(\.self)
    let departure = Departure(
      noise: normal(range, .sampleNoise), filling: { normal(range, .filling) },
      givens: try givens?.givens(range) ?? Givens(), labels: labels,
      factor: firstStage.downsamplingFactor)
    let (source, condition) = try departure.coupled(
      by: plan.coupling, codec: firstStage.codec(scale: plan.scale))
    do {
      let trajectory: Trajectory
      if plan.guidance == 1 {
        trajectory = try integrate(network, from: source, condition, range)
      } else {
        let guided = GuidedField(
          network, scale: plan.guidance, nullLabel: network.specification.nullLabel!,
          interval: plan.guidanceInterval)
        trajectory = try integrate(guided, from: source, condition, range)
      }
      return (trajectory.final, labels, trajectory.evaluations)
    } catch let failure as SolverFailure {
      throw UserError(
        .badData, "samples \(range.lowerBound)…\(range.upperBound - 1)", found: "\(failure)",
        advice: "look at the weights with `latentflow inspect`, or choose a fixed-step solver")
    }
  }

  private func integrate<Field: VelocityField>(
    _ field: Field, from source: Tensor, _ condition: Condition, _ range: Range<Int>
  ) throws -> Trajectory {
    try plan.solver.sample(
      from: source, along: plan.path, draws: { step in normal(range, .churn, step: step) }
    ) { x, t in field(x, t: t, condition: condition) }
  }

  /// Noise of a range of samples, [B, h, w, C]: each sample's is a function of its index.
  private func normal(_ range: Range<Int>, _ stream: RandomStream, step: Int = 0) -> Tensor {
    let shape = givens?.latentShape ?? network.specification.latentShape
    let noise = Tensor(uninitialized: Shape([range.count] + shape))
    let row = noise.count / range.count
    for (i, index) in range.enumerated() {
      Philox(seed: plan.seed, stream: stream, step: step, index: index)
        .fillNormal(noise.base + i * row, count: row)
    }
    return noise
  }
}
