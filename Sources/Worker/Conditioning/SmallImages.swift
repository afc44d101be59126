import Diagnostics
import FlowCore
import FlowData
import FlowTensor

/// Pictures of one size and the same made smaller: what a model for up-sampling is judged on. A
/// sample is given the latent of the small picture.
public struct SmallImages: GivenSource {
  public let source: any ImageSource
  /// Short side of the small pictures in pixels.
  public let lowSize: Int
  public let count: Int
  public let latentShape: [Int]
  private let stage: FirstStage
  private let scale: Float

  /// - Parameters:
  ///   - source: pictures of one size.
  ///   - scale: latents are multiplied by this.
  ///   - count: how many of them; nil takes all.
  /// - Throws: `UserError` for sizes that the first stage does not divide, or too few pictures.
  public init(
    _ source: any ImageSource, lowSize: Int, _ stage: FirstStage, scale: Float, count: Int? = nil
  ) throws {
    guard source.count >= max(1, count ?? 1) else {
      throw UserError(
        .badData, source.path, found: "\(source.count) pictures", expected: "\(count ?? 1)")
    }
    let size = try source.size(0)
    latentShape = try stage.latentShape(of: size, place: source.place(0))
    _ = try stage.latentShape(of: size.lowResolution(lowSize), place: source.place(0))
    (self.source, self.lowSize, self.stage, self.scale) = (source, lowSize, stage, scale)
    self.count = count ?? source.count
  }

  /// A sample's picture; those that fill an item up show the last one.
  public func picture(_ i: Int) throws -> ImageBuffer { try source.image(min(i, count - 1)) }

  public func givens(_ range: Range<Int>) throws -> Givens {
    let small = try range.map { try picture($0).lowResolution(lowSize) }
    let means = stride(from: 0, to: small.count, by: FirstStage.batch).map { first in
      let part = Array(small[first..<min(first + FirstStage.batch, small.count)])
      return stage.encode(part).mean.slice(0..<part.count)
    }
    let latent = Tensor(uninitialized: Shape([small.count] + means[0].shape.dims.dropFirst()))
    var out = latent.base
    for mean in means {
      out.update(from: mean.base, count: mean.count)
      out += mean.count
    }
    return Givens(low: LowResolution(latent: scale * latent))
  }
}
