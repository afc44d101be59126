import Diagnostics
import FlowCore
import FlowTensor

/// Extents that the U-Nets of Karras et al. 2022, «Elucidating the design space of diffusion-based
/// generative models», arXiv 2206.00364, have in common.
public struct EDMShape: Equatable, Sendable {
  /// Extent of the square latent, in latent pixels.
  public var resolution: Int
  /// Channels of the latent, which the network moves.
  public var channels: Int
  /// Channels of `Condition.context`, concatenated behind the latent's.
  public var contextChannels: Int
  /// Width that the multipliers multiply.
  public var modelChannels: Int
  /// Width of each level in units of `modelChannels`, highest resolution first.
  public var channelMultipliers: [Int]
  /// Blocks per level of the encoder; the decoder has one more.
  public var blocksPerLevel: Int
  /// Resolutions in latent pixels at which blocks attend. The first block of the decoder always
  /// does.
  public var attentionResolutions: [Int]
  /// Real classes; 0 for a network without labels.
  public var classes: Int

  public init(
    resolution: Int, channels: Int, contextChannels: Int = 0, modelChannels: Int,
    channelMultipliers: [Int], blocksPerLevel: Int, attentionResolutions: [Int], classes: Int
  ) {
    (self.resolution, self.channels) = (resolution, channels)
    (self.contextChannels, self.modelChannels) = (contextChannels, modelChannels)
    (self.channelMultipliers, self.blocksPerLevel) = (channelMultipliers, blocksPerLevel)
    (self.attentionResolutions, self.classes) = (attentionResolutions, classes)
  }

  public var latentShape: [Int] { [resolution, resolution, channels] }
  /// The label of the zero vector in place of a one-hot one.
  public var nullLabel: Int? { classes > 0 ? classes : nil }
  var inputChannels: Int { channels + contextChannels }
  /// Width of each level.
  var widths: [Int] { channelMultipliers.map { $0 * modelChannels } }
  /// Width of the embedding of time and label.
  var embeddingWidth: Int { 4 * modelChannels }

  /// Refuses extents that no such network has.
  ///
  /// - Parameters:
  ///   - file, place: named in the error.
  /// - Throws: `UserError`
  public func validate(
    _ file: String, at place: String? = nil, status: ExitStatus = .badData
  ) throws {
    func fail(_ found: String, _ expected: String) -> UserError {
      UserError(status, file, at: place, found: found, expected: expected)
    }
    let levels = channelMultipliers.count
    guard (1...16).contains(levels), (1...1024).contains(blocksPerLevel) else {
      throw fail("\(levels) levels of \(blocksPerLevel) blocks", "1 to 16 levels of 1 to 1,024")
    }
    guard (1...1 << 16).contains(resolution), resolution % (1 << (levels - 1)) == 0 else {
      throw fail(
        "a latent of \(resolution) pixels and \(levels) levels",
        "an extent that can be halved \(levels - 1) times")
    }
    guard channels > 0, contextChannels >= 0, inputChannels <= 1 << 16, classes >= 0,
      classes <= 1 << 24
    else {
      throw fail(
        "\(channels) and \(contextChannels) channels, \(classes) classes", "positive extents")
    }
    guard (4...1 << 16).contains(modelChannels), modelChannels % 4 == 0,
      channelMultipliers.allSatisfy({ (1...256).contains($0) })
    else {
      throw fail(
        "\(modelChannels) channels times \(channelMultipliers)",
        "a multiple of 4 and positive multipliers")
    }
    for width in concatenatedWidths where width % edmGroups(width) != 0 {
      throw fail(
        "a norm of \(width) channels in \(edmGroups(width)) groups", "widths that divide evenly")
    }
  }

  /// Widths that a group norm sees: of levels, and of the decoder's inputs.
  private var concatenatedWidths: Set<Int> {
    Set(EDMPlan(self, stem: modelChannels).stages.flatMap { [$0.inputs, $0.outputs] })
      .union(EDMPlan(self, stem: widths[0]).stages.flatMap { [$0.inputs, $0.outputs] })
  }
}

/// Groups of a group norm: 32, but at least four channels in each.
func edmGroups(_ channels: Int) -> Int { max(1, min(32, channels / 4)) }

// What both networks do with their inputs.
extension EDMShape {
  /// The latent with the context behind it, [B, H, W, channels + contextChannels].
  func input(_ x: Tensor, _ condition: Condition) -> Tensor {
    let b = x.shape[0]
    precondition(
      x.shape.dims == [b, resolution, resolution, channels],
      "EDM U-Net: input \(x.shape), expected [\(b), \(resolution), \(resolution), \(channels)]")
    guard contextChannels > 0 else { return x }
    guard let context = condition.context,
      context.shape.dims == [b, resolution, resolution, contextChannels]
    else {
      let found = condition.context.map { "\($0.shape)" } ?? "none"
      preconditionFailure(
        "EDM U-Net: context \(found), expected [\(b), \(resolution), \(resolution), "
          + "\(contextChannels)]")
    }
    return concatenate(x, context)
  }

  /// One time per sample, [B].
  func times(_ t: Tensor, batch b: Int) -> Tensor {
    let times = t.count == 1 && b > 1 ? Tensor([b], fill: t.base[0]) : t
    precondition(times.count == b, "EDM U-Net: \(t.count) times for \(b) samples")
    return times
  }

  /// One-hot labels, [B, classes]; a row of zeros for the null label.
  func oneHot(_ labels: [Int], batch b: Int) -> Tensor {
    precondition(labels.count == b, "EDM U-Net: \(labels.count) labels for \(b) samples")
    let result = Tensor([b, classes], fill: 0)
    for (row, label) in labels.enumerated() where label != nullLabel {
      precondition((0..<classes).contains(label), "label \(label) of \(classes) classes")
      result.base[row * classes + label] = 1
    }
    return result
  }
}
