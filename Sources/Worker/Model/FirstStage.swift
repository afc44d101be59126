import Diagnostics
import FlowData
import FlowModels
import FlowNN
import FlowTensor
import Foundation

/// What turns images into latents and back: an autoencoder, or nothing at all.
public final class FirstStage {
  private enum Kind {
    case identity
    case autoencoder(AutoencoderKL, ParameterStore)
  }

  /// The hash that stands in a latent cache for pixels.
  public static let identityHash = "identity"

  private let kind: Kind
  /// SHA-256 of the weights file, or `identityHash`.
  public let hash: String
  /// Where it was read from; empty for the identity.
  public let path: String

  private init(_ kind: Kind, hash: String, path: String) {
    (self.kind, self.hash, self.path) = (kind, hash, path)
  }

  /// Pixels are the latents.
  public static var identity: FirstStage { FirstStage(.identity, hash: identityHash, path: "") }

  /// Reads an autoencoder: a safetensors file, or a folder that holds `model.safetensors` or
  /// diffusers' `diffusion_pytorch_model.safetensors`; keys of either scheme.
  public static func autoencoder(_ path: String) throws -> FirstStage {
    let file = try SafetensorsFile(weightsFile(path))
    let (configuration, names) = try configuration(file)
    let store = ParameterStore()
    let network = AutoencoderKL(configuration, store.scope)
    store.allocate(training: false)
    let keys = AutoencoderKeys(configuration).keys(in: names)
    let byParameter = Dictionary(keys.map { ($1, $0) }, uniquingKeysWith: { a, _ in a })
    try loadParameters(into: store, from: file) { byParameter[$0] ?? $0 }
    return FirstStage(
      .autoencoder(network, store), hash: try sha256Hex(ofFile: file.path), path: file.path)
  }

  /// Extents of the autoencoder whose weights `file` holds, and their keys without what stands in
  /// front, such as `first_stage_model.` in a checkpoint of latent diffusion.
  private static func configuration(
    _ file: SafetensorsFile
  ) throws -> (AutoencoderKL.Configuration, names: [String]) {
    let group = WeightKeys(file.names).best(averaged: false) { group in
      group.names.count { $0.hasPrefix("decoder.") || $0.hasPrefix("encoder.") }
    }
    let names = group?.names ?? []
    let configuration = try file.metadata["autoencoder"].map {
      try AutoencoderKL.Configuration(json: $0, file: file.path)
    } ?? AutoencoderKL.Configuration(
      inferredFrom: Dictionary(
        try names.map { ($0, try file.shape(group!.key($0))) }, uniquingKeysWith: { a, _ in a }),
      file: file.path)
    return (configuration, names)
  }

  /// What the autoencoder of a weights file does to extents, without reading it whole.
  public static func describe(
    _ file: SafetensorsFile
  ) throws -> (latentChannels: Int, downsamplingFactor: Int) {
    let (configuration, _) = try configuration(file)
    return (configuration.latentChannels, configuration.downsamplingFactor)
  }

  private static func weightsFile(_ path: String) throws -> String {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw UserError(
        .missingInput, path, found: "no such file or folder",
        expected: "an autoencoder's weights (.safetensors) or a folder that holds them",
        advice: "train one with `latentflow train-autoencoder`, or set first_stage.path")
    }
    guard isFolder.boolValue else { return path }
    for name in ["model.safetensors", "diffusion_pytorch_model.safetensors"] {
      let file = path + "/" + name
      if FileManager.default.fileExists(atPath: file) { return file }
    }
    throw UserError(
      .missingInput, path, found: "no model.safetensors in this folder",
      expected: "the folder of an autoencoder")
  }

  public var isIdentity: Bool {
    if case .identity = kind { true } else { false }
  }

  /// Image pixels per latent pixel along each axis.
  public var downsamplingFactor: Int {
    switch kind {
    case .identity: 1
    case .autoencoder(let network, _): network.configuration.downsamplingFactor
    }
  }

  public var latentChannels: Int {
    if case .autoencoder(let network, _) = kind { network.configuration.latentChannels } else { 3 }
  }

  /// The factor that the weights file itself asks for, if it does.
  public var scaleFactor: Double? {
    if case .autoencoder(let network, _) = kind { network.configuration.scaleFactor } else { nil }
  }

  /// The distribution of the latents; no log-variance for pixels.
  ///
  /// - Parameter image: [B, H, W, 3] in [−1, 1]
  public func encode(_ image: Tensor) -> (mean: Tensor, logvar: Tensor?) {
    switch kind {
    case .identity: return (image, nil)
    case .autoencoder(let network, _):
      let posterior = network.encode(image)
      return (posterior.mean, posterior.logvar)
    }
  }

  /// - Parameter z: [B, h, w, C], not scaled
  /// - Returns: [B, H, W, 3]
  public func decode(_ z: Tensor) -> Tensor {
    switch kind {
    case .identity: z
    case .autoencoder(let network, _): network.decode(z)
    }
  }

  /// Channel means of the encoder's middle block, [B, C]; nil for pixels.
  public func features(_ image: Tensor) -> Tensor? {
    if case .autoencoder(let network, _) = kind { network.middleFeatures(image) } else { nil }
  }
}
