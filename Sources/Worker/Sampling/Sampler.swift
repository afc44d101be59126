import Diagnostics
import FlowCore
import FlowData
import FlowTensor

/// How a velocity field is integrated from noise to data.
public enum SamplingSolver: Equatable, Sendable {
  case fixed(ButcherTableau, steps: Int)
  case adaptive(
    ButcherTableau, relativeTolerance: Double, absoluteTolerance: Double,
    AdaptiveSolver.ErrorControl)

  var solver: any ODESolver {
    switch self {
    case .fixed(let tableau, let steps): FixedStepSolver(tableau, grid: .steps(steps))
    case .adaptive(let tableau, let relative, let absolute, let control):
      AdaptiveSolver(
        tableau, relativeTolerance: relative, absoluteTolerance: absolute, errorControl: control)
    }
  }

  public var description: String {
    switch self {
    case .fixed(let tableau, let steps): "\(tableau.name), \(steps) steps"
    case .adaptive(let tableau, let relative, let absolute, let control):
      "\(tableau.name), rtol \(relative), atol \(absolute), error control \(control.rawValue)"
    }
  }
}

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
  public var solver: SamplingSolver
  public var guidance: Float
  public var labels: LabelChoice
  public var direction: TimeDirection
  /// Latents are divided by this before decoding.
  public var scale: Float
  /// Samples of one work item. An item is always computed at its full batch, so that sample i has
  /// the same bits whatever the number of samples asked for.
  public var itemSize: Int

  public static let standardItemSize = 32

  public init(
    seed: UInt64, solver: SamplingSolver, guidance: Float, labels: LabelChoice,
    direction: TimeDirection, scale: Float, itemSize: Int = Self.standardItemSize
  ) {
    (self.seed, self.solver, self.guidance) = (seed, solver, guidance)
    (self.labels, self.direction) = (labels, direction)
    (self.scale, self.itemSize) = (scale, itemSize)
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

  public init(_ network: Network, _ firstStage: FirstStage, _ plan: SamplingPlan) {
    (self.network, self.firstStage, self.plan) = (network, firstStage, plan)
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
    let noise = Tensor(uninitialized: Shape([range.count] + network.specification.latentShape))
    let row = noise.count / range.count
    for (i, index) in range.enumerated() {
      Philox(seed: plan.seed, stream: .sampleNoise, index: index)
        .fillNormal(noise.base + i * row, count: row)
    }
    let drawn = range.map { plan.labels.label(seed: plan.seed, index: $0) }
    let labels = drawn.contains(nil) ? nil : drawn.compactMap(\.self)
    let (start, end) = plan.direction.samplingInterval
    let condition = Condition(labels: labels)
    do {
      let trajectory: Trajectory
      if plan.guidance == 1 {
        trajectory = try plan.solver.solver.integrate(
          network, condition: condition, from: noise, through: [start, end])
      } else {
        let guided = GuidedField(
          network, scale: plan.guidance, nullLabel: network.specification.nullLabel!)
        trajectory = try plan.solver.solver.integrate(
          guided, condition: condition, from: noise, through: [start, end])
      }
      return (trajectory.final, labels, trajectory.evaluations)
    } catch let failure as SolverFailure {
      throw UserError(
        .badData, "samples \(range.lowerBound)…\(range.upperBound - 1)", found: "\(failure)",
        advice: "look at the weights with `latentflow inspect`, or choose a fixed-step solver")
    }
  }
}
