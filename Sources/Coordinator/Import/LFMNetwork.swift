import Diagnostics

/// The network that LFM's options ask for.
struct LFMNetwork {
  private let given: ForeignFields

  init(_ given: ForeignFields) { self.given = given }

  func model() throws -> ModelConfig {
    let type = given.text("model_type") ?? "adm"
    let model: ModelConfig
    if try given.boolean("use_origin_adm") {
      given.note("use_origin_adm", .mapped, "model.kind")
      given.noteIfGiven("model_type", .ignored, "LFM does not read it with --use_origin_adm")
      model = try given.boolean("layout") ? .layout(layout()) : .originalADM(originalADM())
      given.noteIfGiven("layout", .mapped, "model.kind layout")
    } else if type.hasPrefix("DiT") {
      model = .dit(try dit(type))
    } else {
      model = .edm(try edm(type))
      given.noteIfGiven("use_origin_adm", .mapped, "model.kind \(model.kindName)")
    }
    noteWhatTheOtherNetworksRead(model)
    if try given.number("dropout") > 0 {
      given.note("dropout", .unsupported, "networks have no dropout of activations")
    } else {
      given.noteIfGiven("dropout", .kept, "there is none")
    }
    return model
  }

  private func dit(_ type: String) throws -> DiTConfig {
    var dit = DiTConfig()
    guard let size = DiTConfig.Size(String(type.dropFirst("DiT-".count))), type.hasPrefix("DiT-")
    else {
      let names = DiTConfig.Size.names.map { "DiT-\($0)" }
      throw UserError(
        .config, given.subject, at: "model_type", found: "found \(oneLine(type))",
        expected: "adm, adm_context, ddpm++, ncsn++, or one of " + names.joined(separator: ", "),
        advice: nearestName(to: type, among: names).map { "did you mean \($0)?" })
    }
    given.note("model_type", .mapped, "model.size \(size.name)")
    dit.size = size
    (dit.width, dit.depth, dit.heads) = size.letter.extents
    dit.patch = size.patch
    dit.labelDropout = try given.number("label_dropout", as: "model.label_dropout")
    if let classes = try optionalInteger("num_classes"), classes > 1 || dit.labelDropout > 0 {
      given.note("num_classes", .mapped, "model.classes")
      dit.classes = classes
    } else {
      given.note("num_classes", .mapped, "model.classes 0: one class is no label")
      dit.classes = 0
      dit.labelDropout = 0
    }
    guard try contextChannels() == 0 else {
      throw given.wrong("num_in_channels", "num_out_channels: a DiT takes no context")
    }
    return dit
  }

  private func edm(_ type: String) throws -> EDMConfig {
    guard let family = EDMConfig.Family(rawValue: type) else {
      let names = EDMConfig.Family.allCases.map(\.rawValue)
      throw UserError(
        .config, given.subject, at: "model_type", found: "found \(oneLine(type))",
        expected: "one of " + names.joined(separator: ", ") + ", or DiT-SIZE/PATCH",
        advice: nearestName(to: type, among: names).map { "did you mean \($0)?" })
    }
    var edm = EDMConfig()
    edm.family = family
    given.note("model_type", .mapped, "model.kind \(type)")
    edm.channels = try given.integer("nf", as: "model.channels")
    edm.multipliers = try given.integers("ch_mult", as: "model.multipliers")
    // LFM's ncsn++ reads num_blocks, which none of its scripts defines.
    let blocks = given.isGiven("num_blocks") ? "num_blocks" : "num_res_blocks"
    edm.blocks = try given.integer(blocks, as: "model.blocks")
    edm.attentionResolutions = try given.integers(
      "attn_resolutions", as: "model.attention_resolutions")
    edm.classes = max(0, try given.integer("label_dim", as: "model.classes"))
    edm.labelDropout =
      edm.classes > 0 ? try given.number("label_dropout", as: "model.label_dropout") : 0
    edm.contextChannels = try contextChannels()
    return edm
  }

  private func originalADM() throws -> OriginalADMConfig {
    var adm = OriginalADMConfig()
    adm.unet = try unet()
    adm.classes = try labels()
    adm.labelDropout = 0
    return adm
  }

  private func layout() throws -> LayoutConfig {
    var layout = LayoutConfig()
    layout.unet = try unet()
    layout.classes = try labels()
    layout.labelDropout = 0
    return layout
  }

  private func labels() throws -> Int {
    given.note("num_classes", .mapped, "model.classes")
    given.noteIfGiven("label_dropout", .ignored, "LFM's original ADM does not read it")
    return max(0, try optionalInteger("num_classes") ?? 0)
  }

  private func unet() throws -> OriginalADMConfig.Fields {
    var unet = OriginalADMConfig.Fields()
    unet.channels = try given.integer("nf", as: "model.channels")
    unet.multipliers = try given.integers("ch_mult", as: "model.multipliers")
    unet.blocks = try given.integer("num_res_blocks", as: "model.blocks")
    unet.attentionFactors = try given.integers(
      "attn_resolutions", as: "model.attention_factors: they are factors in this network")
    unet.heads = try given.integer("num_heads", as: "model.heads")
    unet.headChannels = try positive("num_head_channels", as: "model.head_channels")
    unet.headsUp = try positive("num_head_upsample", as: "model.heads_up")
    unet.scaleShiftNorm = try given.boolean("use_scale_shift_norm", as: "model.scale_shift_norm")
    unet.residualUpDown = try given.boolean("resblock_updown", as: "model.residual_up_down")
    unet.newAttentionOrder = try given.boolean(
      "use_new_attention_order", as: "model.new_attention_order")
    unet.convolutionalResampling = try given.boolean(
      "resamp_with_conv", as: "model.convolutional_resampling")
    unet.contextChannels = try contextChannels()
    return unet
  }

  /// −1 is none.
  private func positive(_ name: String, as field: String) throws -> Int? {
    let value = try given.integer(name, as: field)
    return value > 0 ? value : nil
  }

  private func optionalInteger(_ name: String) throws -> Int? {
    guard let text = given.text(name), text != "None" else { return nil }
    return try given.integer(name)
  }

  /// Inputs beyond the latent itself.
  private func contextChannels() throws -> Int {
    let (inputs, outputs) = (
      try given.integer("num_in_channels"), try given.integer("num_out_channels")
    )
    given.note(
      "num_in_channels", .mapped,
      inputs == outputs ? "the latent's channels" : "model.context_channels, what the latent lacks")
    guard inputs >= outputs else {
      throw given.wrong("num_in_channels", "at least num_out_channels, \(outputs)")
    }
    return inputs - outputs
  }

  /// Options of the other families, which LFM's scripts pass to every network.
  private func noteWhatTheOtherNetworksRead(_ model: ModelConfig) {
    let ofUNets = ["nf", "ch_mult", "attn_resolutions", "num_res_blocks", "num_blocks", "label_dim"]
    let ofOriginal = [
      "num_heads", "num_head_upsample", "num_head_channels", "use_scale_shift_norm",
      "resblock_updown", "use_new_attention_order", "resamp_with_conv", "layout",
    ]
    switch model {
    case .dit:
      given.noteIfGiven("use_origin_adm", .mapped, "model.kind dit")
      for name in ofUNets + ofOriginal { given.noteIfGiven(name, .ignored, "a DiT has none") }
    case .edm:
      for name in ofOriginal { given.noteIfGiven(name, .ignored, "\(model.kindName) has none") }
      given.noteIfGiven("num_classes", .ignored, "LFM's U-Nets read label_dim")
      if model.classes == 0 {
        given.noteIfGiven("label_dropout", .ignored, "the network has no labels")
      }
    case .originalADM, .layout, .efficientUNet:
      given.noteIfGiven("label_dim", .ignored, "LFM's original ADM reads num_classes")
    }
  }
}
