import CKernels
import FlowTensor
import Foundation

/// What becomes of the running average (EMA) of the parameters in one step.
public enum AverageAction: Equatable, Sendable {
  case none
  /// average ← value
  case copy
  /// average ← decay·average + (1 − decay)·value
  case blend(decay: Double)
}

/// When and how strongly the running average follows the parameters.
public enum AverageSchedule: Equatable, Sendable {
  /// LFM: the same decay in every step; begins as a copy after a parameter's first step.
  case constant(decay: Double)
  /// FMBoost: power-law warm-up.
  case powerLaw(PowerLawAverage)

  /// - Parameter call: number of this update, from 0.
  public func action(call: Int) -> AverageAction {
    switch self {
    case .constant(let decay): .blend(decay: decay)
    case .powerLaw(let schedule): schedule.action(call: call)
    }
  }
}

/// FMBoost's schedule: decay 1 − (1 + n/γ)^−p after n steps of averaging, between a floor and β.
public struct PowerLawAverage: Equatable, Sendable {
  /// Largest decay; 1 freezes the average once it has begun.
  public var beta: Double
  /// Up to this step (inclusive) the parameters are copied.
  public var updateAfterStep: Int
  /// Steps between updates.
  public var updateEvery: Int
  public var inverseGamma: Double
  public var power: Double
  public var minimum: Double

  public init(
    beta: Double = 0.9999, updateAfterStep: Int = 100, updateEvery: Int = 10,
    inverseGamma: Double = 1, power: Double = 2 / 3, minimum: Double = 0
  ) {
    precondition(updateEvery >= 1, "an average updated every \(updateEvery) steps")
    self.beta = beta
    self.updateAfterStep = updateAfterStep
    self.updateEvery = updateEvery
    self.inverseGamma = inverseGamma
    self.power = power
    self.minimum = minimum
  }

  /// The decay in force after `calls` updates.
  public func decay(calls: Int) -> Double {
    let steps = calls - updateAfterStep - 1
    guard steps > 0 else { return 0 }
    return min(max(1 - pow(1 + Double(steps) / inverseGamma, -power), minimum), beta)
  }

  /// Whether averaging has begun after `calls` updates: one of them lay beyond `updateAfterStep`.
  public func hasBegun(calls: Int) -> Bool { calls > firstAveragingCall }

  public func action(call: Int) -> AverageAction {
    guard call % updateEvery == 0 else { return .none }
    // The call that begins averaging copies, too: there is nothing yet to blend with.
    if call <= firstAveragingCall { return .copy }
    return beta == 1 ? .none : .blend(decay: decay(calls: call + 1))
  }

  /// The first multiple of `updateEvery` beyond `updateAfterStep`.
  private var firstAveragingCall: Int { (updateAfterStep / updateEvery + 1) * updateEvery }
}

/// Applies `action` to a whole slice: for buffers, and for an average that is kept apart from the
/// optimiser's pass.
public func updateAverage(
  _ average: UnsafeMutablePointer<Float>, of values: UnsafePointer<Float>, count: Int,
  _ action: AverageAction
) {
  let decay: Double
  switch action {
  case .none: return
  case .copy: decay = 0
  case .blend(let given): decay = given
  }
  parallelFor(count, grain: 16_384) { r in
    lf_average(
      values + r.lowerBound, average + r.lowerBound, Float(decay), Float(1 - decay), r.count)
  }
}
