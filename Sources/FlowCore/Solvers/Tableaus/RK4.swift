extension ButcherTableau {
  /// Kutta's 3/8 rule, Z. Math. Phys. 46 (1901) 435: the method that torchdiffeq calls rk4.
  public static let rk4 = ButcherTableau(
    name: "rk4", order: 4,
    nodes: [0, 1 / 3, 2 / 3, 1],
    stages: [[1 / 3], [-1 / 3, 1], [1, -1, 1]],
    weights: [1 / 8, 3 / 8, 3 / 8, 1 / 8])

  /// The classic fourth-order method of Kutta, same paper.
  public static let classicRK4 = ButcherTableau(
    name: "rk4_classic", order: 4,
    nodes: [0, 1 / 2, 1 / 2, 1],
    stages: [[1 / 2], [0, 1 / 2], [0, 0, 1]],
    weights: [1 / 6, 1 / 3, 1 / 3, 1 / 6])
}
