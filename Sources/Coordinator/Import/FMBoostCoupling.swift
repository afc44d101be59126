import Diagnostics

extension FMBoostImport {
  /// What the flow starts from and is told: `TrainerFMBoost.get_source_and_context`.
  mutating func readCoupling() throws {
    var upsampling = CouplingConfig.Upsampling()
    let low = "model.params.low_res_size"
    if given.isGiven(low) {
      upsampling.lowSize = try given.integer(low, as: "coupling.low_size")
    }
    upsampling.mode = try mode("upsampling_mode", as: "coupling.upsampling")
    let startsFromNoise = try given.boolean(
      "model.params.start_from_noise", as: "coupling.start")
    let step = try given.integer("model.params.noising_step")
    guard !startsFromNoise || step <= 0 else {
      throw given.wrong("model.params.noising_step", "-1 with start_from_noise")
    }
    if startsFromNoise {
      upsampling.start = .noise
    } else if step > 0 {
      (upsampling.start, upsampling.noisingStep) = (.noised, step)
    } else {
      upsampling.start = .latent
    }
    given.note(
      "model.params.noising_step", .mapped, step > 0 ? "coupling.noising_step" : "coupling.start")
    let concatenates = try given.boolean(
      "model.params.concat_context", as: "coupling.context, model.context_channels")
    upsampling.context = try context(
      "upsampling_mode_context", as: "coupling.context", of: upsampling.mode,
      isUsed: concatenates || startsFromNoise)
    upsampling.crossContext = try context(
      "upsampling_mode_ca_context", as: "coupling.cross_context", of: upsampling.mode,
      isUsed: try given.boolean(
        "model.params.ca_context", as: "coupling.cross_context, model.cross_context_channels"))
    result.config.coupling.source = .upsampling(upsampling)
  }

  private func mode(_ name: String, as field: String) throws -> CouplingConfig.Mode {
    let path = "model.params.\(name)"
    guard let mode = given.text(path).flatMap(CouplingConfig.Mode.init(rawValue:)) else {
      let known = CouplingConfig.Mode.allCases.map(\.rawValue)
      throw given.wrong(path, "one of \(known.joined(separator: ", "))")
    }
    given.note(path, .mapped, field)
    return mode
  }

  /// A context is brought to size as the source is, unless the file says otherwise.
  private func context(
    _ name: String, as field: String, of source: CouplingConfig.Mode, isUsed: Bool
  ) throws -> CouplingConfig.Mode? {
    guard isUsed else {
      given.noteIfGiven("model.params.\(name)", .ignored, "there is no such context")
      return nil
    }
    return given.isGiven("model.params.\(name)") ? try mode(name, as: field) : source
  }
}
