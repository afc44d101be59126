extension ButcherTableau {
  /// Euler's method, «Institutionum calculi integralis» I (1768), § 650.
  public static let euler = ButcherTableau(
    name: "euler", order: 1, nodes: [0], stages: [], weights: [1])
}
