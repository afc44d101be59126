import Diagnostics
import FlowData
import FlowModels

extension EfficientUNet.Configuration {
  /// From the constructor arguments of FMBoost's network. They name no resolution: `resolution` is
  /// that of its release, latents of 1,024² images.
  init(_ config: JSONValue, _ path: String, resolution: Int = 128) throws {
    func failure(_ found: String) -> UserError {
      UserError(
        .badData, path, at: "header entry config", found: found,
        expected: "EfficientUNet's constructor arguments")
    }
    func int(_ key: String, or standard: Int? = nil) throws -> Int {
      guard let value = config[key]?.int ?? standard, (1...1 << 16).contains(value) else {
        throw failure("no usable \(key)")
      }
      return value
    }
    func ints(_ key: String, or standard: [Int]? = nil) throws -> [Int] {
      let found = config[key]?.array.map { $0.compactMap(\.int) }
      guard let values = found ?? standard, values.allSatisfy({ (1...1 << 16).contains($0) }),
        values.count == config[key]?.array?.count ?? values.count
      else { throw failure("no usable \(key)") }
      return values
    }
    self.init(
      resolution: resolution, inChannels: try int("in_channels"),
      outChannels: try int("out_channels"), width: try int("model_channels"),
      multipliers: try ints("channel_mult", or: [1, 2, 3, 4]),
      residualsPerLevel: try int("num_res_blocks"),
      attentionFactors: Set(try ints("attention_resolutions")),
      heads: try int("num_heads", or: 4), headWidth: try int("dim_head", or: 64),
      linearAttention: config["use_linear_attn"]?.bool ?? true,
      scalesAndShifts: config["use_scale_shift_norm"]?.bool ?? true,
      resamplesByConvolution: config["conv_resample"]?.bool ?? true,
      poolFactor: max(1, config["pool_factor"]?.int ?? 1))
    if multipliers.count > 8 { throw failure("\(multipliers.count) levels") }
    if let flaw { throw failure(flaw) }
  }
}
