import Diagnostics
import FlowTensor
import Foundation

extension AutoencoderKL.Configuration {
  /// What the names and shapes of a file's tensors say, in either naming scheme.
  ///
  /// - Parameters:
  ///   - shapes: all tensors of the file; others than the autoencoder's are ignored.
  ///   - groups, scaleFactor: shapes do not tell; Stable Diffusion's unless given.
  ///   - file: named in errors.
  /// - Throws: `UserError` of status `badData` naming the tensor that is missing or does not fit.
  public init(
    inferredFrom shapes: [String: Shape], groups: Int = 32, scaleFactor: Double = 0.18215,
    file: String = "autoencoder weights"
  ) throws {
    guard let scheme = AutoencoderKeys.scheme(of: shapes.keys) else {
      throw UserError(
        .badData, file, found: "no tensor encoder.down_blocks.* or encoder.down.*",
        expected: "the state dictionary of an AutoencoderKL")
    }
    let bare = Dictionary(
      shapes.map { (AutoencoderKeys.withoutPrefix($0.key), $0.value) },
      uniquingKeysWith: { a, _ in a })
    let names = scheme == .diffusers
      ? (level: "encoder.down_blocks", residual: "resnets")
      : (level: "encoder.down", residual: "block")
    let levels = Self.extent(of: names.level, in: bare.keys)
    let layers = Self.extent(of: "\(names.level).0.\(names.residual)", in: bare.keys)
    let keys = AutoencoderKeys(levels: levels, layers: layers)
    let canonical = Dictionary(
      bare.compactMap { key, shape in keys.parameter(forKey: key).map { ($0, shape) } },
      uniquingKeysWith: { a, _ in a })
    func convolution(_ module: String) throws -> Shape {
      let name = "\(module).weight"
      guard let shape = canonical[name], shape.rank == 4 else {
        throw UserError(
          .badData, file, at: "tensor \(name)",
          found: canonical[name].map { "shape \($0)" } ?? "missing",
          expected: "a convolution weight [out, in, k, k]")
      }
      return shape
    }
    self.init(
      inChannels: try convolution("encoder.conv_in")[1],
      latentChannels: try convolution("post_quant_conv")[0],
      blockChannels: try (0..<levels).map {
        try convolution("encoder.down_blocks.\($0).resnets.0.conv1")[0]
      },
      layersPerBlock: layers, groups: groups,
      midAttention: canonical["encoder.mid_block.attentions.0.to_q.weight"] != nil,
      scaleFactor: scaleFactor)
    try validate(file)
  }

  /// Extents that no network can have.
  public func validate(_ file: String) throws {
    func fail(_ found: String, _ expected: String) -> UserError {
      UserError(.badData, file, at: "autoencoder configuration", found: found, expected: expected)
    }
    guard inChannels > 0, latentChannels > 0, layersPerBlock > 0, groups > 0,
      (1...16).contains(blockChannels.count)
    else { throw fail("\(self)", "positive extents, 1 to 16 levels") }
    guard let odd = blockChannels.first(where: { $0 <= 0 || $0 % groups != 0 }) else { return }
    throw fail("\(odd) channels in \(groups) groups", "widths that the number of groups divides")
  }

  /// JSON with sorted keys, for the metadata of a weights file.
  public var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    guard let data = try? encoder.encode(self) else {
      preconditionFailure("an autoencoder configuration that is not finite: \(self)")
    }
    return String(decoding: data, as: UTF8.self)
  }

  /// - Parameter file: named in errors.
  /// - Throws: `UserError` of status `badData`.
  public init(json: String, file: String) throws {
    do {
      self = try JSONDecoder().decode(Self.self, from: Data(json.utf8))
    } catch {
      throw UserError(
        .badData, file, at: "autoencoder configuration", found: "\(json.prefix(200))",
        expected: "a JSON object with inChannels, latentChannels, blockChannels, layersPerBlock, "
          + "groups, midAttention and scaleFactor")
    }
    try validate(file)
  }

  /// 1 + the largest number that follows `prefix` as a component, 0 if none does; at most 64.
  private static func extent(of prefix: String, in keys: some Sequence<String>) -> Int {
    var largest = -1
    for key in keys where key.hasPrefix(prefix + ".") {
      let component = key.dropFirst(prefix.count + 1).prefix { $0 != "." }
      if let number = Int(component), (0..<64).contains(number) { largest = max(largest, number) }
    }
    return largest + 1
  }
}
