import Diagnostics
import FlowData
import Worker

// Whether network, coupling and data fit one another.

extension RunConfig {
  /// Channels that the coupling, an inpainting or a label map puts behind those of the state.
  ///
  /// - Parameter latentChannels: C of the data.
  func contextChannels(latentChannels: Int) -> Int {
    if let inpainting { return inpainting.context.channels(latentChannels: latentChannels) }
    // A label map becomes as many as the network takes.
    if semantic != nil { return model.contextChannels }
    return coupling.upsampling?.context == nil ? 0 : latentChannels
  }

  /// Throws `.config` where the data lack what the coupling starts from, or the network does not
  /// take what the coupling tells it.
  func checkCoupling(_ d: LatentCacheDescription) throws {
    let channels = d.latentShape[2]
    try requireContext(
      "model.context_channels", model.contextChannels, contextChannels(latentChannels: channels),
      inpainting == nil ? "coupling.context" : "inpainting")
    let crossChannels = coupling.upsampling?.crossContext == nil ? 0 : channels
    try requireContext(
      "model.cross_context_channels", model.crossContextChannels, crossChannels,
      "coupling.cross_context")
    if let field = model.section.tokenField {
      throw UserError(
        .config, field, found: "a network that attends to tokens",
        expected: "a network of latents, labels and maps: no data here have tokens")
    }
    try checkMaps(d)
    guard let upsampling = coupling.upsampling else { return }
    guard let low = d.lowResolution else {
      throw UserError(
        .config, "coupling.kind",
        found: "upsampling, and \(data.name) holds no low-resolution latents",
        expected: data.images == nil
          ? "a cache made with `latentflow encode … --low-res SIZE`" : "coupling.low_size")
    }
    if let size = upsampling.lowSize, size != low.size {
      throw UserError(
        .config, "coupling.low_size",
        found: "\(size), and \(data.name) holds latents of images made \(low.size) pixels small",
        expected: "\(low.size)")
    }
    try upsampling.check(low.latentShape, d.latentShape)
  }

  /// Throws `.config` where the data lack the label maps that the network is to see, or theirs are
  /// of another size or of more classes.
  private func checkMaps(_ d: LatentCacheDescription) throws {
    guard let semantic, let rescaler else { return }
    guard let maps = d.masks else {
      throw UserError(
        .config, "semantic", found: "label maps to draw after, and \(data.name) holds none",
        expected: data.images == nil
          ? "a cache made with `latentflow encode … --masks`"
          : "celebamask, ade20k, coco-stuff or shapes")
    }
    guard maps.classes <= semantic.classes else {
      throw UserError(
        .config, "semantic.classes",
        found: "\(semantic.classes), and the maps of \(data.name) have \(maps.classes)",
        expected: "\(maps.classes)")
    }
    let side = [d.latentShape[0] * rescaler.factor, d.latentShape[1] * rescaler.factor]
    guard [maps.height, maps.width] == side else {
      throw UserError(
        .config, "semantic.stages",
        found: "\(semantic.stages), which takes maps of \(side[1])×\(side[0]); those of "
          + "\(data.name) are \(maps.width)×\(maps.height)",
        expected: "as many halvings as bring them to the \(d.latentShape[1])×\(d.latentShape[0]) "
          + "of the latents")
    }
  }

  private func requireContext(
    _ field: String, _ found: Int, _ expected: Int, _ source: String
  ) throws {
    guard found != expected else { return }
    throw UserError(
      .config, field, found: "\(found), and \(source) gives \(expected)",
      expected: "\(expected) for these data",
      advice: expected == 0 ? "set \(field) to 0, or choose a coupling with a context" : nil)
  }
}

extension CouplingConfig.Upsampling {
  fileprivate func check(_ low: [Int], _ high: [Int]) throws {
    let modes = [("coupling.upsampling", Optional(mode)), ("coupling.context", context)]
    for (field, mode) in modes {
      if mode == .identity && low != high && (field != "coupling.upsampling" || start != .noise) {
        throw UserError(
          .config, field, found: "identity from latents of \(low) to \(high)",
          expected: "a way to bring them to size: psu, bilinear, nearest, bicubic, area or "
            + "noise_upsampling")
      }
      if mode == .noiseUpsampling && (high[0] % low[0] != 0 || high[1] % low[1] != 0) {
        throw UserError(
          .config, field, found: "noise_upsampling from latents of \(low) to \(high)",
          expected: "a whole factor between them")
      }
    }
  }
}
