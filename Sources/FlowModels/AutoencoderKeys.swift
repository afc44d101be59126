/// The two naming schemes of one network: diffusers' state dictionaries, whose names the parameters
/// carry, and those of the latent diffusion code (`encoder.down.0.block.0.…`, `decoder.up` counted
/// from the highest resolution, attention weights as 1×1 convolutions [out, in, 1, 1]).
public struct AutoencoderKeys: Sendable {
  public enum Scheme: String, Sendable, CaseIterable {
    case diffusers, ldm
  }

  /// One module's name in both schemes.
  typealias Pair = (diffusers: String, ldm: String)

  private let toLDM: [String: String]
  private let toDiffusers: [String: String]

  /// The table for a network of `levels` resolutions and `layers` residuals per encoder level.
  public init(levels: Int, layers: Int) {
    let pairs = Self.modules(levels: levels, layers: layers)
    toLDM = Dictionary(uniqueKeysWithValues: pairs.map { ($0.diffusers, $0.ldm) })
    var reverse = Dictionary(uniqueKeysWithValues: pairs.map { ($0.ldm, $0.diffusers) })
    // Names of the attention before diffusers 0.15, still found in published files: read only.
    for half in ["encoder", "decoder"] {
      let attention = "\(half).mid_block.attentions.0."
      let renamed = [
        ("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0"),
      ]
      for (old, new) in renamed {
        reverse[attention + old] = attention + new
      }
    }
    toDiffusers = reverse
  }

  public init(_ c: AutoencoderKL.Configuration) {
    self.init(levels: c.blockChannels.count, layers: c.layersPerBlock)
  }

  /// The LDM name of a parameter; nil if the network has none of that name.
  public func ldm(_ parameter: String) -> String? { Self.translate(parameter, toLDM) }

  /// The name that the parameter stored as `key` has here, whatever scheme `key` is of; nil for a
  /// key that is no parameter of the network, such as a loss's.
  public func parameter(forKey key: String) -> String? {
    let bare = Self.withoutPrefix(key)
    if let name = Self.translate(bare, toDiffusers) { return name }
    return Self.translate(bare, toLDM) == nil ? nil : bare
  }

  /// Parameter name → key for every key that is a parameter of the network.
  public func keys(in keys: some Sequence<String>) -> [String: String] {
    var result: [String: String] = [:]
    for key in keys {
      if let name = parameter(forKey: key) { result[name] = key }
    }
    return result
  }

  /// Which scheme a file's keys are of; nil if they are no autoencoder's.
  public static func scheme(of keys: some Sequence<String>) -> Scheme? {
    for key in keys {
      let key = withoutPrefix(key)
      if key.hasPrefix("encoder.down_blocks.") { return .diffusers }
      if key.hasPrefix("encoder.down.") { return .ldm }
    }
    return nil
  }

  /// Whole checkpoints hold the autoencoder under a name of its own.
  static func withoutPrefix(_ key: String) -> String {
    let prefix = "first_stage_model."
    return key.hasPrefix(prefix) ? String(key.dropFirst(prefix.count)) : key
  }

  /// Translates the module in front of `.weight` or `.bias`.
  private static func translate(_ name: String, _ table: [String: String]) -> String? {
    guard let dot = name.lastIndex(of: "."), let module = table[String(name[..<dot])] else {
      return nil
    }
    return module + name[dot...]
  }

  /// The one table, in both directions.
  static func modules(levels: Int, layers: Int) -> [Pair] {
    var pairs: [Pair] = [("quant_conv", "quant_conv"), ("post_quant_conv", "post_quant_conv")]
    for half in ["encoder", "decoder"] {
      pairs += [
        ("\(half).conv_in", "\(half).conv_in"), ("\(half).conv_out", "\(half).conv_out"),
        ("\(half).conv_norm_out", "\(half).norm_out"),
      ]
      pairs += residual("\(half).mid_block.resnets.0", "\(half).mid.block_1")
      pairs += residual("\(half).mid_block.resnets.1", "\(half).mid.block_2")
      pairs += attention("\(half).mid_block.attentions.0", "\(half).mid.attn_1")
    }
    for level in 0..<levels {
      let (down, up) = ("encoder.down_blocks.\(level)", "decoder.up_blocks.\(level)")
      let (ldmDown, ldmUp) = ("encoder.down.\(level)", "decoder.up.\(levels - 1 - level)")
      for j in 0..<layers {
        pairs += residual("\(down).resnets.\(j)", "\(ldmDown).block.\(j)")
      }
      for j in 0...layers { pairs += residual("\(up).resnets.\(j)", "\(ldmUp).block.\(j)") }
      guard level < levels - 1 else { continue }
      pairs += [
        ("\(down).downsamplers.0.conv", "\(ldmDown).downsample.conv"),
        ("\(up).upsamplers.0.conv", "\(ldmUp).upsample.conv"),
      ]
    }
    return pairs
  }

  private static func residual(_ diffusers: String, _ ldm: String) -> [Pair] {
    ["norm1", "conv1", "norm2", "conv2"].map { ("\(diffusers).\($0)", "\(ldm).\($0)") }
      + [("\(diffusers).conv_shortcut", "\(ldm).nin_shortcut")]
  }

  private static func attention(_ diffusers: String, _ ldm: String) -> [Pair] {
    [
      ("\(diffusers).group_norm", "\(ldm).norm"), ("\(diffusers).to_q", "\(ldm).q"),
      ("\(diffusers).to_k", "\(ldm).k"), ("\(diffusers).to_v", "\(ldm).v"),
      ("\(diffusers).to_out.0", "\(ldm).proj_out"),
    ]
  }
}
