import FlowTensor

/// Inception v3 as the Fréchet Inception distance has it: the TensorFlow network of 2015 with the
/// weights of pytorch-fid's `pt_inception-2015-12-05`.
/// Szegedy et al. 2016, «Rethinking the Inception architecture for computer vision», arXiv
/// 1512.00567; Heusel et al. 2017, arXiv 1706.08500.
///
/// It differs from torchvision's network of that name: average pools leave padding out of the mean,
/// the last block pools by maximum, and there are 1,008 classes. Figures computed with other
/// weights are not FID, so weights of another shape are refused. Evaluation only.
public final class InceptionV3 {
  /// A set of features that figures are computed on, by its width.
  public enum Features: Int, CaseIterable, Sendable {
    case firstPool = 64
    case secondPool = 192
    case beforeLast = 768
    case pool = 2048
  }

  /// Side of the images that the network sees.
  public static let imageSize = 299
  public static let classes = 1008

  private let conv1a, conv2a, conv2b, conv3b, conv4a: InceptionConvolution
  private let mixed5: [InceptionA]
  private let mixed6a: InceptionB
  private let mixed6: [InceptionC]
  private let mixed7a: InceptionD
  private let mixed7: [InceptionE]
  private let classifier: (weight: Tensor, bias: Tensor)

  /// - Parameter weights: under the keys of pytorch-fid's state dictionary; counters of batches and
  ///   anything else are not looked at.
  /// - Throws: `UserError` of status `badData` naming the first key that is missing or has another
  ///   shape.
  public init(_ weights: NamedWeights) throws {
    conv1a = try InceptionConvolution(3, 32, kernel: 3, stride: 2, weights("Conv2d_1a_3x3"))
    conv2a = try InceptionConvolution(32, 32, kernel: 3, weights("Conv2d_2a_3x3"))
    conv2b = try InceptionConvolution(32, 64, kernel: 3, padding: 1, weights("Conv2d_2b_3x3"))
    conv3b = try InceptionConvolution(64, 80, weights("Conv2d_3b_1x1"))
    conv4a = try InceptionConvolution(80, 192, kernel: 3, weights("Conv2d_4a_3x3"))
    mixed5 = try [("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)].map { name, inputs, pooled in
      try InceptionA(inputs, pooled: pooled, weights("Mixed_\(name)"))
    }
    mixed6a = try InceptionB(288, weights("Mixed_6a"))
    mixed6 = try [("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)].map { name, inner in
      try InceptionC(768, inner: inner, weights("Mixed_\(name)"))
    }
    mixed7a = try InceptionD(768, weights("Mixed_7a"))
    mixed7 = [
      try InceptionE(1280, pool: .average, weights("Mixed_7b")),
      try InceptionE(2048, pool: .maximum, weights("Mixed_7c")),
    ]
    classifier = (
      try weights("fc").tensor("weight", [Self.classes, 2048]),
      try weights("fc").tensor("bias", [Self.classes])
    )
  }

  /// What the network sees of an image: 299×299 pixels, bilinear without smoothing, in [−1, 1].
  ///
  /// - Parameter image: [B, H, W, 3] in [0, 1]
  public static func prepared(_ image: Tensor) -> Tensor {
    precondition(image.shape.rank == 4 && image.shape[3] == 3, "images [B, H, W, 3] \(image.shape)")
    return resizedBilinear(
      image, height: Self.imageSize, width: Self.imageSize, scale: 2, offset: -1)
  }

  /// Features of images, means over the pixels of a map.
  ///
  /// - Parameters:
  ///   - image: [B, H, W, 3] in [0, 1], of any extents
  ///   - features: which; the layers behind them are not computed.
  /// - Returns: [B, D]
  public func features(_ image: Tensor, _ features: Features = .pool) -> Tensor {
    meanOverPixels(maps(Self.prepared(image), upTo: features).last!)
  }

  /// - Parameter pool: features of the last layer, [B, 2048]
  /// - Returns: class logits, [B, 1008]
  public func logits(pool: Tensor) -> Tensor {
    linear(pool, weight: classifier.weight, bias: classifier.bias)
  }

  /// The maps that features are means of.
  ///
  /// - Parameter x: prepared images, [B, 299, 299, 3]
  /// - Returns: [B, 73, 73, 64], [B, 35, 35, 192], [B, 17, 17, 768] and [B, 8, 8, 2048], the last
  ///   being that of `last`.
  public func maps(_ x: Tensor, upTo last: Features = .pool) -> [Tensor] {
    var maps: [Tensor] = []
    for stage in Features.allCases where stage.rawValue <= last.rawValue {
      maps.append(map(stage, maps.last ?? x))
    }
    return maps
  }

  private func map(_ stage: Features, _ x: Tensor) -> Tensor {
    switch stage {
    case .firstPool: maxPool(conv2b(conv2a(conv1a(x))), window: 3, stride: 2)
    case .secondPool: maxPool(conv4a(conv3b(x)), window: 3, stride: 2)
    case .beforeLast: mixed6.reduce(mixed6a(mixed5.reduce(x) { $1($0) })) { $1($0) }
    case .pool: mixed7.reduce(mixed7a(x)) { $1($0) }
    }
  }
}
