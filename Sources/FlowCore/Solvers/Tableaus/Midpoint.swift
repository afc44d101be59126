extension ButcherTableau {
  /// The explicit midpoint rule.  Runge, Math. Ann. 46 (1895) 167.
  public static let midpoint = ButcherTableau(
    name: "midpoint", order: 2, nodes: [0, 1 / 2], stages: [[1 / 2]], weights: [0, 1])
}
