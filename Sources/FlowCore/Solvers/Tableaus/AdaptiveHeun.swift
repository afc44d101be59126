extension ButcherTableau {
  /// Heun's method with Euler's as its error estimate, 2(1).
  ///
  /// The adaptive engine carries the slope of the last stage into the next step although that
  /// stage was at Euler's prediction, as torchdiffeq does: one evaluation per step, and still of
  /// order 2.
  public static let adaptiveHeun = ButcherTableau(
    name: "adaptive_heun", order: 2, nodes: [0, 1], stages: [[1]], weights: [1 / 2, 1 / 2],
    embeddedWeights: [0, 1],
    midpointWeights: [1 / 2, 0])
}
