import Diagnostics
import FlowData
import FlowModels
import FlowNN
import FlowTensor

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

  /// What the process may take while a codec works on an image; nil for the fastest way.
  public let memory: MemoryLimit?

  private init(_ kind: Kind, hash: String, path: String, memory: MemoryLimit? = nil) {
    (self.kind, self.hash, self.path, self.memory) = (kind, hash, path, memory)
  }

  /// The same first stage, whose codecs stay within a limit.
  public func within(_ memory: MemoryLimit?) -> FirstStage {
    FirstStage(kind, hash: hash, path: path, memory: memory)
  }

  /// Pixels are the latents.
  public static var identity: FirstStage { FirstStage(.identity, hash: identityHash, path: "") }

  /// Reads an autoencoder: a weights file of any format, alone or inside a whole checkpoint, or a
  /// folder that holds one; keys of either scheme. Where neither the file nor diffusers'
  /// `config.json` beside it says otherwise, the groups and the scale are Stable Diffusion's.
  public static func autoencoder(_ path: String) throws -> FirstStage {
    let file = try AutoencoderFile(path)
    let store = ParameterStore()
    let network = AutoencoderKL(file.configuration, store.scope)
    store.allocate(training: false)
    let keys = AutoencoderKeys(file.configuration).keys(in: file.tensors.names)
    try loadParameters(into: store, from: file.tensors) { keys[$0] ?? $0 }
    let weights = file.tensors.path
    return FirstStage(
      .autoencoder(network, store), hash: try sha256Hex(ofFile: weights), path: weights)
  }

  /// An autoencoder that was built, its parameters in `store`.
  convenience init(_ network: AutoencoderKL, _ store: ParameterStore, hash: String) {
    self.init(.autoencoder(network, store), hash: hash, path: "")
  }

  /// nil for pixels.
  var network: AutoencoderKL? {
    if case .autoencoder(let network, _) = kind { network } else { nil }
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

  /// Width of `features`; 0 for pixels.
  public var featureCount: Int {
    guard case .autoencoder(let network, _) = kind else { return 0 }
    return network.configuration.blockChannels.last!
  }

  /// Channel means of the encoder's middle block, [B, C]; nil for pixels.
  public func features(_ image: Tensor) -> Tensor? {
    if case .autoencoder(let network, _) = kind { network.middleFeatures(image) } else { nil }
  }
}
