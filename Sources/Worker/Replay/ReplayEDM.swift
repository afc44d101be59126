import Diagnostics
import FlowData
import FlowModels

extension NetworkSpecification {
  /// From the arguments of LFM's `get_edm_network`.
  init(edm config: JSONValue, _ path: String) throws {
    func failure(_ found: String, _ expected: String) -> UserError {
      UserError(.badData, path, at: "header entry config", found: found, expected: expected)
    }
    func int(_ key: String) throws -> Int {
      guard let value = config[key]?.int, (0...1 << 24).contains(value) else {
        throw failure("no usable \(key)", "the arguments of an EDM network")
      }
      return value
    }
    func ints(_ key: String) throws -> [Int] {
      guard let values = config[key]?.array, values.allSatisfy({ $0.int != nil }) else {
        throw failure("no usable \(key)", "a list of integers")
      }
      return values.compactMap(\.int)
    }
    let (image, factor) = (try int("image_size"), try int("f"))
    let (inputs, outputs) = (try int("num_in_channels"), try int("num_out_channels"))
    guard factor > 0, inputs >= outputs else {
      throw failure(
        "f \(factor), \(inputs) channels in, \(outputs) out", "at least as many in as out")
    }
    let type = config["model_type"]?.string ?? "missing"
    // The reference reads a field of its own for NCSN++.
    let blocks = type == "ncsn++" && config["num_blocks"] != nil ? "num_blocks" : "num_res_blocks"
    let shape = EDMShape(
      resolution: image / factor, channels: outputs, contextChannels: inputs - outputs,
      modelChannels: try int("nf"), channelMultipliers: try ints("ch_mult"),
      blocksPerLevel: try int(blocks), attentionResolutions: try ints("attn_resolutions"),
      classes: try int("label_dim"))
    if let variant = SongUNet.Variant(rawValue: type) {
      let configuration = SongUNet.Configuration(shape: shape, variant: variant)
      try configuration.validate(path, at: "header entry config")
      self = .song(configuration)
    } else if type == "adm" || type == "adm_context" {
      let attends = type == "adm_context"
      let configuration = DhariwalUNet.Configuration(
        shape: shape, attendsToLabel: attends,
        hasNullRow: attends && (config["label_dropout"]?.double ?? 0) > 0)
      try configuration.validate(path, at: "header entry config")
      self = .dhariwal(configuration)
    } else {
      throw failure("model_type \(type)", "adm, adm_context, ddpm++ or ncsn++")
    }
  }

  /// In its guided pass the reference drops the labels of the batch's second half itself; where it
  /// does not, they are the null label already.
  var dropsSecondHalf: Bool {
    if case .dhariwal(let c) = self { !c.attendsToLabel && c.classes > 0 } else { false }
  }
}
