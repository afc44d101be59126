import Diagnostics
import Foundation

/// The `config.json` of a diffusers AutoencoderKL: its fields under diffusers' names, any of which
/// may be missing.
private struct DiffusersConfiguration: Codable {
  var _class_name: String?
  var act_fn: String?
  var block_out_channels: [Int]?
  var down_block_types: [String]?
  var force_upcast: Bool?
  var in_channels: Int?
  var latent_channels: Int?
  var layers_per_block: Int?
  var mid_block_add_attention: Bool?
  var norm_num_groups: Int?
  var out_channels: Int?
  var scaling_factor: Double?
  var shift_factor: Double?
  var up_block_types: [String]?
  var use_post_quant_conv: Bool?
  var use_quant_conv: Bool?
}

extension AutoencoderKL.Configuration {
  /// Reads diffusers' `config.json`.
  ///
  /// - Parameter file: named in errors.
  /// - Throws: `UserError` of status `badData` for another class, and for what this network lacks.
  public init(diffusers json: String, file: String) throws {
    func failure(_ found: String, _ expected: String) -> UserError {
      UserError(.badData, file, at: "config.json", found: found, expected: expected)
    }
    let c: DiffusersConfiguration
    do {
      c = try JSONDecoder().decode(DiffusersConfiguration.self, from: Data(json.utf8))
    } catch {
      throw failure("fields of another kind", "the configuration of an AutoencoderKL")
    }
    let name = c._class_name ?? "AutoencoderKL"
    guard name == "AutoencoderKL" else { throw failure("_class_name \(name)", "AutoencoderKL") }
    guard ["silu", "swish"].contains(c.act_fn ?? "silu") else {
      throw failure("act_fn \(c.act_fn ?? "")", "silu")
    }
    guard c.use_quant_conv ?? true, c.use_post_quant_conv ?? true else {
      throw failure("no quant_conv", "an autoencoder with quant_conv and post_quant_conv")
    }
    guard c.shift_factor ?? 0 == 0 else {
      throw failure("shift_factor \(c.shift_factor ?? 0)", "latents that are only scaled")
    }
    let (inputs, outputs) = (c.in_channels ?? 3, c.out_channels ?? 3)
    guard inputs == outputs else {
      throw failure("in_channels \(inputs), out_channels \(outputs)", "equal ones")
    }
    let known = ["DownEncoderBlock2D", "UpDecoderBlock2D"]
    let blocks = (c.down_block_types ?? []) + (c.up_block_types ?? [])
    if let other = blocks.first(where: { !known.contains($0) }) {
      throw failure("block \(other)", known.joined(separator: " and "))
    }
    self.init(
      inChannels: inputs, latentChannels: c.latent_channels ?? 4,
      blockChannels: c.block_out_channels ?? [64], layersPerBlock: c.layers_per_block ?? 1,
      groups: c.norm_num_groups ?? 32, midAttention: c.mid_block_add_attention ?? true,
      scaleFactor: c.scaling_factor ?? 0.18215)
    try validate(file)
  }

  /// diffusers' `config.json`, sorted keys.
  public var diffusersJSON: String {
    let levels = blockChannels.count
    let c = DiffusersConfiguration(
      _class_name: "AutoencoderKL", act_fn: "silu", block_out_channels: blockChannels,
      down_block_types: Array(repeating: "DownEncoderBlock2D", count: levels), force_upcast: true,
      in_channels: inChannels, latent_channels: latentChannels, layers_per_block: layersPerBlock,
      mid_block_add_attention: midAttention, norm_num_groups: groups, out_channels: inChannels,
      scaling_factor: scaleFactor, shift_factor: nil,
      up_block_types: Array(repeating: "UpDecoderBlock2D", count: levels),
      use_post_quant_conv: true, use_quant_conv: true)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    guard let data = try? encoder.encode(c) else {
      preconditionFailure("an autoencoder configuration that is not finite: \(self)")
    }
    return String(decoding: data, as: UTF8.self) + "\n"
  }
}
