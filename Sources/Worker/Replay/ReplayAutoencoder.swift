import Diagnostics
import FlowData
import FlowModels
import FlowNN
import FlowTensor

/// Replays a case of AutoencoderKL: posterior, sample, divergence, decoded image, and the gradients
/// of mean((decode(z) − target)²) + mean((sample − target_z)²).
///
/// - Returns: one row per output and input gradient, and the worst parameter gradient.
/// - Throws: `UserError` of status `badData` if the case is not one of an autoencoder.
public func replayAutoencoderCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  let (model, store, keys) = try c.autoencoder(c.config, training: true)

  let tape = Tape()
  let image = tape.ride(nhwc(try c.input("image")))  // [B, H, W, 3]
  let z = tape.ride(nhwc(try c.input("z")))  // [B, h, w, 4]
  let posterior = model.encode(image)
  let sample = posterior.sample(noise: nhwc(try c.input("noise")))
  let decoded = model.decode(z)
  let loss =
    meanSquaredError(decoded, nhwc(try c.input("target")))
    + meanSquaredError(sample, nhwc(try c.input("target_z")))
  let outputs: [(String, Tensor)] = [
    ("mean", nchw(posterior.mean)), ("logvar", nchw(posterior.logvar)),
    ("mode", nchw(posterior.mode)), ("sample", nchw(sample)), ("kl", posterior.kl()),
    ("decoded", nchw(decoded)), ("loss", loss),
  ]
  var rows = try outputs.compactMap { try c.row($0.0, $0.1.values) }

  store.resetGradients()
  tape.backward(from: loss)
  store.settleGradients()
  for (name, input) in [("image", image), ("z", z)] {
    guard case .relativeL2(let bound) = c.tolerance(.inputGradients, name) else { continue }
    let gradient = Tensor(input.shape, input.gradient?.values ?? [])
    let error = relativeL2(
      found: nchw(gradient), expected: try c.doubles(.inputGradients, name))
    rows.append(ReplayRow(name: "grad_inputs.\(name)", error: error, tolerance: bound))
  }
  return rows
    + (try c.gradientRows { key in
      keys.parameter(forKey: key).flatMap { store[$0]?.gradient?.values }
    })
}

extension ReferenceCase {
  /// An autoencoder with its weights.
  ///
  /// - Parameters:
  ///   - config: its constructor arguments.
  ///   - part: which network of the case it is, in a case with several.
  func autoencoder(
    _ config: JSONValue, part: String? = nil, training: Bool
  ) throws -> (AutoencoderKL, ParameterStore, AutoencoderKeys) {
    let configuration = try AutoencoderKL.Configuration(config, file.path)
    let store = ParameterStore()
    let model = AutoencoderKL(configuration, store.scope)
    store.allocate(training: training)
    let keys = AutoencoderKeys(configuration)
    let weights = try weights(of: part)
    let names = keys.keys(in: weights.keys)
    try load(weights, into: store) { names[$0] }
    return (model, store, keys)
  }
}

extension AutoencoderKL.Configuration {
  /// From the constructor arguments of diffusers or of the latent diffusion code.
  fileprivate init(_ config: JSONValue, _ path: String) throws {
    if let widths = config["block_out_channels"]?.array?.compactMap(\.int),
      let layers = config["layers_per_block"]?.int, let latent = config["latent_channels"]?.int,
      let channels = config["in_channels"]?.int, let groups = config["norm_num_groups"]?.int
    {
      self.init(
        inChannels: channels, latentChannels: latent, blockChannels: widths,
        layersPerBlock: layers, groups: groups)
    } else if let dd = config["ddconfig"], let base = dd["ch"]?.int,
      let factors = dd["ch_mult"]?.array?.compactMap(\.int),
      let layers = dd["num_res_blocks"]?.int, let latent = dd["z_channels"]?.int,
      let channels = dd["in_channels"]?.int
    {
      self.init(
        inChannels: channels, latentChannels: latent, blockChannels: factors.map { $0 * base },
        layersPerBlock: layers)
    } else {
      throw UserError(
        .badData, path, at: "header entry config",
        found: "class \(config["class"]?.string ?? "missing")",
        expected: "arguments of diffusers' or LDM's AutoencoderKL")
    }
    try validate(path)
  }
}
