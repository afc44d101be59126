import Foundation

/// The learning rate as a function of the step (or epoch), in Double.
public enum LearningRateSchedule: Equatable, Sendable {
  case constant
  /// FMBoost: rises linearly from 0, then stays.
  case constantWithWarmup(steps: Int)
  /// LFM, per epoch: half a cosine down to `floor` after `period`, then up again.
  /// Loshchilov & Hutter 2017, arXiv 1608.03983.
  case cosineAnnealing(period: Int, floor: Double)
  /// FMBoost: rises linearly from 0, then `cycles` cosines (0.5: down to 0 once) until `total`.
  case cosineWithWarmup(steps: Int, total: Int, cycles: Double)
  /// Rises over `warmup` steps, the first of which is not 0, then falls along a line to `floor` at
  /// step `total`.
  case linearDecay(warmup: Int, total: Int, floor: Double)
  /// The same along half a cosine.
  case cosineDecay(warmup: Int, total: Int, floor: Double)

  /// - Parameters:
  ///   - step: from 0
  ///   - base: the configured rate
  public func rate(step: Int, base: Double) -> Double {
    precondition(step >= 0, "learning rate of step \(step)")
    switch self {
    case .constant:
      return base
    case .constantWithWarmup(let warmup):
      return step < warmup ? base * Double(step) / Double(max(1, warmup)) : base
    case .cosineAnnealing(let period, let floor):
      return annealed(step: step, base: base, period: period, floor: floor)
    case .cosineWithWarmup(let warmup, let total, let cycles):
      if step < warmup { return base * Double(step) / Double(max(1, warmup)) }
      let progress = Double(step - warmup) / Double(max(1, total - warmup))
      return base * max(0, 0.5 * (1 + cos(.pi * cycles * 2 * progress)))
    case .linearDecay(let warmup, let total, let floor):
      return decayed(step, base, warmup, total, floor) { 1 - $0 }
    case .cosineDecay(let warmup, let total, let floor):
      return decayed(step, base, warmup, total, floor) { 0.5 * (1 + cos(.pi * $0)) }
    }
  }

  /// torch's CosineAnnealingLR multiplies its own last value; the recursion is followed because its
  /// round-off is part of the reference, also past `period`.
  private func annealed(step: Int, base: Double, period: Int, floor: Double) -> Double {
    var rate = base
    for k in stride(from: 1, through: step, by: 1) {
      if (k - 1 - period) % (2 * period) == 0 {
        rate += (base - floor) * (1 - cos(.pi / Double(period))) / 2
      } else {
        let ratio =
          (1 + cos(.pi * Double(k) / Double(period)))
          / (1 + cos(.pi * Double(k - 1) / Double(period)))
        rate = ratio * (rate - floor) + floor
      }
    }
    return rate
  }

  private func decayed(
    _ step: Int, _ base: Double, _ warmup: Int, _ total: Int, _ floor: Double,
    _ shape: (Double) -> Double
  ) -> Double {
    if step < warmup { return base * Double(step + 1) / Double(warmup) }
    let progress = min(1, Double(step - warmup) / Double(max(1, total - warmup)))
    return floor + (base - floor) * shape(progress)
  }
}
