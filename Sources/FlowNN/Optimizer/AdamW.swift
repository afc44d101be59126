import CKernels
import FlowTensor

/// Adam (Kingma & Ba 2015, arXiv 1412.6980) with decoupled weight decay (Loshchilov & Hutter
/// 2019, arXiv 1711.05101) or L2, and the running average of the parameters, in one pass over an
/// arena. Equal to torch.optim.AdamW and torch.optim.Adam: bias corrections in Double, epsilon
/// outside the root.
public struct AdamW: Equatable, Sendable {
  public enum WeightDecay: Equatable, Sendable {
    /// w ← (1 − lr·λ)·w (AdamW)
    case decoupled(Double)
    /// g ← g + λ·w (Adam with `weight_decay`)
    case l2(Double)
  }

  public struct Configuration: Equatable, Sendable {
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double
    public var weightDecay: WeightDecay

    public init(
      beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
      weightDecay: WeightDecay = .decoupled(0)
    ) {
      self.beta1 = beta1
      self.beta2 = beta2
      self.epsilon = epsilon
      self.weightDecay = weightDecay
    }
  }

  public let configuration: Configuration

  public init(_ configuration: Configuration = Configuration()) {
    self.configuration = configuration
  }

  /// One step of the parameters that this rank owns.
  ///
  /// State is sharded (ZeRO-1): a rank holds moments and average of its own range of the arena
  /// only, and updates only that range of the values; the ranks then gather the values. Facts per
  /// parameter are kept by every rank alike, also of parameters outside its shard.
  ///
  /// - Parameters:
  ///   - values: the whole arena; elements in `shard` are updated
  ///   - gradients: the whole arena; elements in `shard` are read
  ///   - firstMoment, secondMoment: `shard.count` elements, zeros at the start
  ///   - average: `shard.count` elements, a copy of the values at the start; nil: none is kept
  ///   - segments: the parameters in rising order; step counts and begun averages are brought
  ///     forward
  ///   - gradientScale: multiplies every gradient: clip coefficient times 1 / micro-batches
  ///   - averaging: what the average's schedule asks for in this step. A parameter whose average
  ///     has not begun is copied where others are blended, which is how LFM's begins.
  public func update(
    values: UnsafeMutablePointer<Float>, gradients: UnsafePointer<Float>,
    firstMoment: UnsafeMutablePointer<Float>, secondMoment: UnsafeMutablePointer<Float>,
    average: UnsafeMutablePointer<Float>? = nil, segments: inout [Segment], shard: Range<Int>,
    learningRate: Double, gradientScale: Double = 1, averaging: AverageAction = .none
  ) {
    precondition(
      average != nil || averaging == .none, "\(averaging) without memory for the average")
    let runs = runs(
      &segments, shard: shard, learningRate: learningRate, gradientScale: gradientScale, averaging)
    nonisolated(unsafe) let average = averaging == .none ? nil : average
    parallelFor(shard.count, grain: 16_384) { part in
      let first = shard.lowerBound + part.lowerBound
      let part = first..<first + part.count
      for run in runs where run.range.overlaps(part) {
        let range = run.range.clamped(to: part)
        let local = range.lowerBound - shard.lowerBound
        withUnsafePointer(to: run.constants) { constants in
          lf_adam(
            values + range.lowerBound, gradients + range.lowerBound, firstMoment + local,
            secondMoment + local, average.map { $0 + local }, constants, range.count)
        }
      }
    }
  }

  /// Adjacent elements that share all constants.
  private struct Run {
    var range: Range<Int>
    let kind: Kind
    let constants: lf_adam_constants
  }

  /// What the constants of a parameter depend on.
  private struct Kind: Equatable {
    let stepCount: Int
    let decays: Bool
    let copiesAverage: Bool
  }

  /// Brings the segments forward by one step and joins those that can run together.
  private func runs(
    _ segments: inout [Segment], shard: Range<Int>, learningRate: Double, gradientScale: Double,
    _ averaging: AverageAction
  ) -> [Run] {
    var runs: [Run] = []
    for i in segments.indices where segments[i].takesPart {
      segments[i].stepCount += 1
      let kind = Kind(
        stepCount: segments[i].stepCount, decays: segments[i].decays,
        copiesAverage: averaging == .copy || !segments[i].hasAverage)
      if averaging != .none { segments[i].hasAverage = true }
      let range = segments[i].range.clamped(to: shard)
      if range.isEmpty { continue }
      if let last = runs.last, last.kind == kind, last.range.upperBound == range.lowerBound {
        runs[runs.count - 1].range = last.range.lowerBound..<range.upperBound
      } else {
        let constants = constants(
          kind, learningRate: learningRate, gradientScale: gradientScale, averaging)
        runs.append(Run(range: range, kind: kind, constants: constants))
      }
    }
    return runs
  }

  private func constants(
    _ kind: Kind, learningRate: Double, gradientScale: Double, _ averaging: AverageAction
  ) -> lf_adam_constants {
    let c = configuration
    let correction1 = 1 - power(c.beta1, kind.stepCount)
    let correction2 = 1 - power(c.beta2, kind.stepCount)
    var result = lf_adam_constants()
    result.gradient_scale = Float(gradientScale)
    result.keep = 1
    if kind.decays {
      switch c.weightDecay {
      case .decoupled(let decay): result.keep = Float(1 - learningRate * decay)
      case .l2(let decay): result.l2 = Float(decay)
      }
    }
    result.take1 = Float(1 - c.beta1)
    result.beta2 = Float(c.beta2)
    result.take2 = Float(1 - c.beta2)
    result.step_size = Float(learningRate / correction1)
    result.inverse_root = Float(1 / correction2.squareRoot())
    result.epsilon = Float(c.epsilon)
    if case .blend(let decay) = averaging, !kind.copiesAverage {
      result.average_keep = Float(decay)
      result.average_take = Float(1 - decay)
    }
    return result
  }
}
