import FlowComm
import FlowCore
import FlowTensor

/// What the samples of a batch are given beside noise and label.
public struct Givens {
  /// What a coupling by up-sampling starts from.
  public var low: LowResolution?
  /// What stands beside the state, [b, H, W, Cc]: a masked latent and its mask.
  public var context: Tensor?
  /// Of a label map, [b, H, W, classes].
  public var classShares: Tensor?

  public init(
    low: LowResolution? = nil, context: Tensor? = nil, classShares: Tensor? = nil
  ) {
    (self.low, self.context, self.classShares) = (low, context, classShares)
  }
}

/// Where the samples of a task get what they are given; any rank may ask for any of them.
public protocol GivenSource {
  var count: Int { get }
  /// [H, W, C] of every sample's state.
  var latentShape: [Int] { get }
  /// - Parameter range: of sample indices; those from `count` on fill an item up, and whatever they
  ///   are given is thrown away.
  /// - Throws: `UserError` naming the file that does not serve.
  func givens(_ range: Range<Int>) throws -> Givens
}

/// A batch on its way to where its flow starts.
struct Departure {
  /// x1 while training, [b, H, W, C].
  var data: Tensor?
  /// Standard normal, [b, H, W, C].
  var noise: Tensor
  /// A second draw of the same shape.
  var filling: () -> Tensor
  var givens: Givens
  var labels: [Int]?
  /// Image pixels per latent pixel along each axis.
  var factor: Int

  /// - Returns: where the flow starts, [b, H, W, C], and what the field is told on the way.
  func coupled(
    by coupling: any Coupling, codec: PixelCodec?
  ) throws -> (source: Tensor, Condition) {
    let batch = CouplingBatch(
      data: data, noise: noise, filling: coupling.fillsWithNoise ? filling() : nil,
      low: givens.low,
      imageExtent: (height: noise.shape[1] * factor, width: noise.shape[2] * factor))
    let coupled = try coupling(batch, codec: codec)
    return (
      coupled.source,
      Condition(
        labels: labels, context: coupled.context ?? givens.context,
        crossContext: coupled.crossContext, classShares: givens.classShares)
    )
  }
}

extension FirstStage {
  /// Images from here on are computed one by one in strips, which take a fraction of the memory.
  private static let stripPixels = 512 * 512

  /// The first stage as a coupling sees it. Latents are the means of the posterior. Large images,
  /// and all of them under a limit of memory, are computed one by one in strips of rows.
  public func codec(scale: Float) -> PixelCodec {
    PixelCodec(
      encode: { images in
        guard self.usesStrips(images.shape[1] * images.shape[2]) else {
          return scale * self.encode(images).mean
        }
        return scale * stacked(try (0..<images.shape[0]).map { i in
          try self.encode(
            images.slice(i..<i + 1), sharedBy: SingleRank(), memory: self.memory).mean
        })
      },
      decode: { latents in
        let z = (1 / scale) * latents
        let pixels = self.downsamplingFactor * self.downsamplingFactor
        guard self.usesStrips(z.shape[1] * z.shape[2] * pixels) else { return self.decode(z) }
        return stacked(try (0..<z.shape[0]).map { i in
          try self.decode(z.slice(i..<i + 1), sharedBy: SingleRank(), memory: self.memory)
        })
      })
  }

  private func usesStrips(_ pixels: Int) -> Bool {
    !isIdentity && (memory != nil || pixels >= Self.stripPixels)
  }
}

/// [1, …] each → [B, …]
private func stacked(_ samples: [Tensor]) -> Tensor {
  if samples.count == 1 { return samples[0] }
  let result = Tensor(uninitialized: Shape([samples.count] + samples[0].shape.dims.dropFirst()))
  for (i, sample) in samples.enumerated() {
    withExtendedLifetime(sample) {
      (result.base + i * sample.count).update(from: sample.base, count: sample.count)
    }
  }
  return result
}
