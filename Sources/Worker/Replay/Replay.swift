import FlowData

/// Recomputes a reference case and compares, on this process alone.
///
/// - Returns: one row per compared quantity. A case of a network or kind that is not built yet gives
///   one failed row, «unsupported: NAME».
/// - Throws: `UserError` of status `badData` for a case that contradicts itself.
public func replay(_ c: ReferenceCase) throws -> [ReplayRow] {
  switch c.name.prefix(2) {
  case "A_" where isDiT(c.config): return try replayDiTCase(c)
  case "E_": return try replayAutoencoderCase(c)
  case "H_": return try replaySolverCase(c)
  case "J_": return try replayTrainingCase(c)
  case "K_" where c.name == "K_lfm_objective": return try replayObjectiveCase(c)
  case "M_" where isDiT(c.config["net"]): return try replaySamplingCase(c)
  case "N_" where isDiT(c.config["net"]): return try replayTrainingLoopCase(c)
  default: return [.unsupported(unsupportedName(c))]
  }
}

private func isDiT(_ config: JSONValue?) -> Bool {
  ["LFM.DiT", "LFM.DiT_models"].contains(config?["class"]?.string)
}

/// The class of the network, or else what the case calls its kind.
private func unsupportedName(_ c: ReferenceCase) -> String {
  for config in [c.config, c.config["net"]] {
    if let name = config?["class"]?.string { return name }
  }
  return c.header["kind"] ?? c.name
}

extension ReplayRow {
  /// What cannot be computed here yet; counts as failed.
  static func unsupported(_ name: String) -> ReplayRow {
    ReplayRow(name: "unsupported: \(name)", error: .infinity, tolerance: nil, ok: false)
  }
}
