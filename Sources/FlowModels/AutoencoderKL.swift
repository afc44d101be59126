import FlowNN
import FlowTensor

/// The autoencoder whose latents diffusion and flow models live in.
/// Rombach et al. 2022, «High-resolution image synthesis with latent diffusion models»,
/// arXiv 2112.10752, section 3.1 and appendix G; the Gaussian latent of Kingma & Welling 2014,
/// arXiv 1312.6114.
///
/// Parameters carry the names of diffusers' state dictionaries; `AutoencoderKeys` translates the
/// names of the paper's own code. Latents are those of the network: multiply by
/// `configuration.scaleFactor` for a latent of about unit variance, divide before `decode`.
public struct AutoencoderKL {
  public struct Configuration: Equatable, Sendable, Codable {
    /// Channels of images.
    public var inChannels: Int
    public var latentChannels: Int
    /// Width of each level, highest resolution first.
    public var blockChannels: [Int]
    /// Residuals per level of the encoder; the decoder has one more.
    public var layersPerBlock: Int
    /// Groups of every group norm; divides every width.
    public var groups: Int
    /// Self-attention at the lowest resolution.
    public var midAttention: Bool
    /// 1 / standard deviation of latents over the training data.
    public var scaleFactor: Double

    /// The defaults are Stable Diffusion's.
    public init(
      inChannels: Int = 3, latentChannels: Int = 4, blockChannels: [Int] = [128, 256, 512, 512],
      layersPerBlock: Int = 2, groups: Int = 32, midAttention: Bool = true,
      scaleFactor: Double = 0.18215
    ) {
      (self.inChannels, self.latentChannels) = (inChannels, latentChannels)
      (self.blockChannels, self.layersPerBlock) = (blockChannels, layersPerBlock)
      (self.groups, self.midAttention) = (groups, midAttention)
      self.scaleFactor = scaleFactor
    }

    /// Image pixels per latent pixel along each axis.
    public var downsamplingFactor: Int { 1 << (blockChannels.count - 1) }
  }

  public let configuration: Configuration
  let encoder: AutoencoderEncoder
  let decoder: AutoencoderDecoder
  let quantConv: Convolution
  let postQuantConv: Convolution

  public init(_ c: Configuration, _ scope: Scope) {
    precondition(
      !c.blockChannels.isEmpty && c.blockChannels.allSatisfy { $0 % c.groups == 0 },
      "AutoencoderKL: widths \(c.blockChannels) in \(c.groups) groups")
    configuration = c
    encoder = AutoencoderEncoder(c, scope("encoder"))
    decoder = AutoencoderDecoder(c, scope("decoder"))
    quantConv = Convolution(
      2 * c.latentChannels, 2 * c.latentChannels, kernel: 1, scope("quant_conv"))
    postQuantConv = Convolution(
      c.latentChannels, c.latentChannels, kernel: 1, scope("post_quant_conv"))
  }

  /// The distribution of an image's latent.
  ///
  /// - Parameter image: [B, H, W, C] in [−1, 1]; H and W multiples of the down-sampling factor
  public func encode(_ image: Tensor) -> Posterior {
    check(image)
    return Posterior(moments: quantConv(encoder(image)))
  }

  /// - Parameter z: [B, h, w, latent], not scaled
  /// - Returns: [B, f·h, f·w, C]
  public func decode(_ z: Tensor) -> Tensor {
    precondition(
      z.shape.rank == 4 && z.shape[3] == configuration.latentChannels,
      "decode: latent \(z.shape), expected [B, h, w, \(configuration.latentChannels)]")
    return decoder(postQuantConv(z))
  }

  /// Means over pixels of the encoder's middle block: features for a Fréchet distance between
  /// images where no Inception network is at hand. Not recorded on a tape.
  ///
  /// - Parameter image: [B, H, W, C] in [−1, 1]
  /// - Returns: [B, last width]
  public func middleFeatures(_ image: Tensor) -> Tensor {
    check(image)
    let h = encoder.features(image.detached)
    let (b, c) = (h.shape[0], h.shape[3])
    let pixels = h.shape[1] * h.shape[2]
    let result = Tensor(uninitialized: [b, c])
    for sample in 0..<b {
      for channel in 0..<c {
        var sum = 0.0
        for p in 0..<pixels { sum += Double(h.base[(sample * pixels + p) * c + channel]) }
        result.base[sample * c + channel] = Float(sum / Double(pixels))
      }
    }
    return result
  }

  private func check(_ image: Tensor) {
    let f = configuration.downsamplingFactor
    precondition(
      image.shape.rank == 4 && image.shape[3] == configuration.inChannels
        && image.shape[1] % f == 0 && image.shape[2] % f == 0,
      "AutoencoderKL: image \(image.shape), expected [B, H, W, \(configuration.inChannels)] with H "
        + "and W multiples of \(f)")
  }
}
