/// An explicit Runge–Kutta method. Hairer, Nørsett & Wanner, «Solving Ordinary Differential
/// Equations I», § II.1; one file per method holds its coefficients and where they come from.
public struct ButcherTableau: Sendable, Equatable, CustomStringConvertible {
  public let name: String
  /// Order of the solution that is carried on.
  public let order: Int
  /// c_1 … c_s; c_1 is 0.
  public let nodes: [Double]
  /// Row i holds a_{i+1, 1…i}: what the stages from the second on are made of.
  public let stages: [[Double]]
  /// b_1 … b_s
  public let weights: [Double]
  /// The weights whose difference from `weights` estimates the error; nil for a fixed-step method.
  public let embeddedWeights: [Double]?
  /// Weights of the state in the middle of a step, for dense output; nil for a fixed-step method.
  public let midpointWeights: [Double]?

  public init(
    name: String, order: Int, nodes: [Double], stages: [[Double]], weights: [Double],
    embeddedWeights: [Double]? = nil, midpointWeights: [Double]? = nil
  ) {
    precondition(
      nodes.count == weights.count && stages.count == nodes.count - 1 && nodes.first == 0
        && stages.enumerated().allSatisfy { $1.count == $0 + 1 }
        && (embeddedWeights?.count ?? nodes.count) == nodes.count
        && (midpointWeights?.count ?? nodes.count) == nodes.count,
      "the rows of tableau \(name) do not fit each other")
    self.name = name
    self.order = order
    self.nodes = nodes
    self.stages = stages
    self.weights = weights
    self.embeddedWeights = embeddedWeights
    self.midpointWeights = midpointWeights
  }

  public var isAdaptive: Bool { embeddedWeights != nil && midpointWeights != nil }

  /// The input of the last stage is the solution: nothing is left to combine.
  public var lastStageIsAtSolution: Bool {
    weights.last == 0 && stages.last.map { $0 == Array(weights.dropLast()) } == true
  }

  public var description: String { name }

  /// Every method, the simplest first.
  public static let all: [ButcherTableau] = [
    .euler, .heun, .midpoint, .classicRK4, .rk4, .bosh3, .adaptiveHeun, .dopri5, .tsit5,
    .dopri8,
  ]

  public static func named(_ name: String) -> ButcherTableau? { all.first { $0.name == name } }
}
