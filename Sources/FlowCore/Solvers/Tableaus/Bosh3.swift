extension ButcherTableau {
  /// Bogacki–Shampine 3(2), first-same-as-last.  Appl. Math. Lett. 2 (1989) 321.
  public static let bosh3 = ButcherTableau(
    name: "bosh3", order: 3,
    nodes: [0, 1 / 2, 3 / 4, 1],
    stages: [[1 / 2], [0, 3 / 4], [2 / 9, 1 / 3, 4 / 9]],
    weights: [2 / 9, 1 / 3, 4 / 9, 0],
    embeddedWeights: [7 / 24, 1 / 4, 1 / 3, 1 / 8],
    midpointWeights: [0, 1 / 2, 0, 0])
}
