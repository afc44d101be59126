import FlowData

/// Recomputes a reference case and compares, on this process alone.
///
/// - Returns: one row per compared quantity. A case of a network or kind that is not built yet
///   gives one failed row, «unsupported: NAME»; an output that the case holds with a tolerance and
///   nothing compares gives a failed row, too.
/// - Throws: `UserError` of status `badData` for a case that contradicts itself.
public func replay(_ c: ReferenceCase) throws -> [ReplayRow] {
  guard let rows = try supportedRows(c) else {
    return [.failed("unsupported: \(unsupportedName(c))")]
  }
  let compared = Set(rows.map(\.name))
  let missed = c.names(.outputs).filter { isComparable(c, $0) && !compared.contains($0) }
  if rows.isEmpty && missed.isEmpty { return [.failed("nothing to compare")] }
  return rows + missed.map { .failed("\($0): not compared") }
}

/// Whether the case states a tolerance: an output that has one must not go unnoticed.
private func isComparable(_ c: ReferenceCase, _ output: String) -> Bool {
  if case .relativeL2 = c.tolerance(.outputs, output) { true } else { false }
}

/// nil for a case of something that is not built.
private func supportedRows(_ c: ReferenceCase) throws -> [ReplayRow]? {
  switch c.name.prefix(2) {
  case "A_" where try isBuilt(c.config, c): return try replayNetworkCase(c)
  case "B_" where try isBuilt(c.config, c): return try replayNetworkCase(c)
  case "D_" where try isBuilt(c.config, c): return try replayNetworkCase(c)
  case "C_" where try isBuilt(c.config, c): return try replayNetworkCase(c)
  case "E_": return try replayAutoencoderCase(c)
  case "H_": return try replaySolverCase(c)
  case "J_": return try replayTrainingCase(c)
  case "K_" where c.header["kind"] == "forward_diffusion": return try replayDiffusionCase(c)
  case "K_" where c.header["kind"] == "upsampling": return try replayUpsamplingCase(c)
  case "K_" where c.name == "K_lfm_objective": return try replayObjectiveCase(c)
  case "K_" where c.name == "K_lfm_inpaint_images": return try replayInpaintingImages(c)
  case "K_" where c.name == "K_lfm_semantic_rescaler": return try replayRescalerCase(c)
  case "M_" where try isBuilt(c.config["net"], c): return try replaySamplingCase(c)
  case "N_" where c.header["kind"] == "train_fmb": return try replayCouplingLoopCase(c)
  case "N_" where try isBuilt(c.config["net"], c): return try replayTrainingLoopCase(c)
  default: return nil
  }
}

private func isBuilt(_ network: JSONValue?, _ c: ReferenceCase) throws -> Bool {
  try network.map { try NetworkSpecification(reference: $0, c.file.path) != nil } ?? false
}

/// The class of the network, or else what the case calls its kind.
private func unsupportedName(_ c: ReferenceCase) -> String {
  for config in [c.config, c.config["net"]] {
    if let name = config?["class"]?.string { return name }
  }
  return c.header["kind"] ?? c.name
}

extension ReplayRow {
  /// What cannot be compared; it counts as failed.
  fileprivate static func failed(_ name: String) -> ReplayRow {
    ReplayRow(name: name, error: .infinity, tolerance: nil, ok: false)
  }
}
