extension ButcherTableau {
  /// Heun's method (the explicit trapezoidal rule), Z. Math. Phys. 45 (1900) 23.
  public static let heun = ButcherTableau(
    name: "heun", order: 2, nodes: [0, 1], stages: [[1]], weights: [1 / 2, 1 / 2])
}
