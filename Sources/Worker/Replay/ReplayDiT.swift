import Diagnostics
import FlowData
import FlowModels

extension DiT.Configuration {
  /// From LFM's constructor arguments: `DiT` or a named size of `DiT_models`.
  init(_ config: JSONValue, _ path: String) throws {
    func failure(_ found: String, _ expected: String) -> UserError {
      UserError(
        .badData, path, at: "header entry config", found: found, expected: expected)
    }
    func int(_ key: String) throws -> Int {
      guard let value = config[key]?.int, (1...1 << 16).contains(value) else {
        throw failure("no usable \(key)", "DiT's constructor arguments")
      }
      return value
    }
    let size: (width: Int, depth: Int, heads: Int)
    let patch: Int
    if let name = config["model_type"]?.string {
      // «DiT-S/2»
      let words = name.dropFirst("DiT-".count).split(separator: "/").map(String.init)
      guard name.hasPrefix("DiT-"), words.count == 2, let named = DiT.Configuration.size(words[0]),
        let side = Int(words[1]), side > 0
      else { throw failure("model_type \(name)", "DiT-S/2 and the like") }
      (size, patch) = (named, side)
    } else {
      size = (try int("hidden_size"), try int("depth"), try int("num_heads"))
      patch = try int("patch_size")
    }
    self.init(
      resolution: try int("img_resolution"), channels: try int("in_channels"), patch: patch,
      width: size.width, depth: size.depth, heads: size.heads,
      mlpRatio: config["mlp_ratio"]?.double ?? 4, classes: try int("num_classes"),
      hasNullClass: (config["label_dropout"]?.double ?? 0) > 0,
      learnsSigma: config["learn_sigma"]?.bool ?? false)
  }
}
