import Diagnostics
import FlowData
import FlowModels
import FlowTensor

extension ADMUNet.Configuration {
  /// From the constructor arguments of LFM's `UNetModel`. Its label table has no null class.
  init(_ config: JSONValue, _ path: String) throws {
    self = try Self.unchecked(config, path)
    if let flaw { throw failure(path, flaw, "a U-Net that can be built") }
  }

  /// The same without a look at whether the extents fit each other.
  fileprivate static func unchecked(_ config: JSONValue, _ path: String) throws -> Self {
    func int(_ key: String) throws -> Int {
      guard let value = config[key]?.int, (1...1 << 16).contains(value) else {
        throw failure(path, "no usable \(key)", "UNetModel's constructor arguments")
      }
      return value
    }
    /// −1 stands for «not given».
    func optional(_ key: String) throws -> Int? {
      config[key]?.int.map { $0 == -1 } ?? true ? nil : try int(key)
    }
    func flag(_ key: String, _ missing: Bool) -> Bool { config[key]?.bool ?? missing }
    let multiples = config["channel_mult"]?.array?.compactMap(\.double) ?? [1, 2, 4, 8]
    guard let factors = config["attention_resolutions"]?.array?.compactMap(\.int) else {
      throw failure(path, "no usable attention_resolutions", "a list of factors")
    }
    if let dims = config["dims"]?.int, dims != 2 {
      throw failure(path, "dims \(dims)", "2: images")
    }
    return Self(
      resolution: try int("image_size"), inChannels: try int("in_channels"),
      outChannels: try int("out_channels"), width: try int("model_channels"),
      multiples: multiples, residuals: try int("num_res_blocks"), attentionFactors: factors,
      heads: try optional("num_heads") ?? 1,
      decoderHeads: try optional("num_heads_upsample"),
      headChannels: try optional("num_head_channels"),
      order: flag("use_new_attention_order", false) ? .partsFirst : .headsFirst,
      usesScaleShiftNorm: flag("use_scale_shift_norm", false),
      resamplesInResiduals: flag("resblock_updown", false),
      resamplesByConvolution: flag("conv_resample", true),
      classes: config["num_classes"]?.int == nil ? 0 : try int("num_classes"))
  }
}

extension LayoutUNet.Configuration {
  /// From the constructor arguments of LFM's `UNetModelAttn` with spatial transformers.
  init(_ config: JSONValue, _ path: String) throws {
    guard config["use_spatial_transformer"]?.bool == true, let width = config["context_dim"]?.int
    else {
      throw failure(
        path, "UNetModelAttn without a spatial transformer",
        "use_spatial_transformer and context_dim")
    }
    self.init(
      trunk: try ADMUNet.Configuration.unchecked(config, path),
      transformerDepth: config["transformer_depth"]?.int ?? 1, contextWidth: width)
    if let flaw { throw failure(path, flaw, "a U-Net that can be built") }
  }
}

private func failure(_ path: String, _ found: String, _ expected: String) -> UserError {
  UserError(.badData, path, at: "header entry config", found: found, expected: expected)
}
