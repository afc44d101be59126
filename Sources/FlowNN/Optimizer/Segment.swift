/// What the optimiser knows of one parameter beside its numbers: the facts that one pass over the
/// arena still has to keep apart. Equal on every rank.
public struct Segment: Equatable, Sendable {
  /// The parameter's elements in the arena.
  public let range: Range<Int>
  /// Never touched: a constant, or a part of the network that is not trained.
  public var isFrozen: Bool
  /// Whether weight decay applies.
  public var decays: Bool
  /// False while nothing contributes to the parameter's gradient: it is then left out of the step,
  /// as PyTorch leaves out a parameter whose `grad` is None.
  public var hasGradient: Bool
  /// Steps taken, Adam's t.
  public var stepCount: Int
  /// False until the running average of the parameter has begun; read the value itself until then.
  public var hasAverage: Bool

  public init(
    range: Range<Int>, isFrozen: Bool = false, decays: Bool = true, hasGradient: Bool = true,
    stepCount: Int = 0, hasAverage: Bool = false
  ) {
    self.range = range
    self.isFrozen = isFrozen
    self.decays = decays
    self.hasGradient = hasGradient
    self.stepCount = stepCount
    self.hasAverage = hasAverage
  }

  var takesPart: Bool { hasGradient && !isFrozen }
}
