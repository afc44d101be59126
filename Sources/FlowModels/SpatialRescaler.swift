import FlowNN
import FlowTensor

/// A semantic map at the size of a latent: halved several times, then a linear map of its
/// channels (Rombach et al. 2022, arXiv 2112.10752, appendix D, «semantic synthesis»). The result
/// is the context of a network: its channels go behind those of the state.
///
/// The reference halves by bilinear interpolation without anti-aliasing, which at a factor of ½ is
/// the mean of every 2×2 square; n times of it over a one-hot map are the shares of the classes in
/// every square of 2ⁿ pixels, and are counted as such.
public struct SpatialRescaler {
  public struct Configuration: Equatable, Sendable {
    /// Times the extents are halved.
    public var stages: Int
    /// Classes of the map.
    public var inChannels: Int
    public var outChannels: Int

    public init(stages: Int = 3, inChannels: Int, outChannels: Int = 4) {
      precondition(
        stages >= 0 && inChannels > 0 && outChannels > 0,
        "SpatialRescaler of \(stages) stages, \(inChannels) → \(outChannels) channels")
      (self.stages, self.inChannels, self.outChannels) = (stages, inChannels, outChannels)
    }

    /// Pixels of the map per pixel of the result, along each axis.
    public var factor: Int { 1 << stages }
  }

  public let configuration: Configuration
  let mapper: Convolution

  public init(_ c: Configuration, _ scope: Scope) {
    configuration = c
    mapper = Convolution(
      c.inChannels, c.outChannels, kernel: 1, bias: false, scope("channel_mapper"))
  }

  /// - Parameters:
  ///   - shares: what `classShares` counted, [B, h, w, in]; riding a tape where the map of
  ///     channels is trained
  /// - Returns: [B, h, w, out]
  public func callAsFunction(_ shares: Tensor) -> Tensor {
    precondition(
      shares.shape.rank == 4 && shares.shape[3] == configuration.inChannels,
      "SpatialRescaler: shares \(shares.shape), expected [B, h, w, \(configuration.inChannels)]")
    return mapper(shares)
  }

  /// The share of each class in every square of `factor` pixels, see `Configuration.classShares`.
  public func classShares(of map: [Int], height: Int, width: Int) -> Tensor {
    configuration.classShares(of: map, height: height, width: width)
  }
}

extension SpatialRescaler.Configuration {
  /// The share of each class in every square of `factor` pixels.
  ///
  /// - Parameters:
  ///   - map: class of every pixel, [B, H, W] row-major, each below the number of channels
  ///   - height, width: H and W, multiples of `factor`
  ///   - unlabelled: stands for no class, and counts for none.
  /// - Returns: [B, H/f, W/f, in]
  public func classShares(
    of map: [Int], height: Int, width: Int, unlabelled: Int? = nil
  ) -> Tensor {
    let (f, classes) = (factor, inChannels)
    precondition(
      height > 0 && width > 0 && height % f == 0 && width % f == 0
        && map.count % (height * width) == 0,
      "classShares: \(map.count) pixels of images \(height)×\(width) in squares of \(f)")
    precondition(
      map.allSatisfy { (0..<classes).contains($0) || $0 == unlabelled },
      "classShares: a class outside 0..<\(classes)")
    let (h, w) = (height / f, width / f)
    let result = Tensor([map.count / (height * width), h, w, classes], fill: 0)
    let share = 1 / Float(f * f)
    for (pixel, label) in map.enumerated() where label != unlabelled {
      let (row, column) = (pixel / width, pixel % width)  // rows run on through the samples
      result.base[((row / f) * w + column / f) * classes + label] += share
    }
    return result
  }
}
