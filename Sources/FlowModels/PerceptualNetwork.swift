import FlowTensor

/// The feature maps of LPIPS: five layers of AlexNet or of VGG-16, each behind its ReLU, and the
/// channel weights of the metric.
/// Krizhevsky, «One weird trick for parallelizing convolutional neural networks», arXiv 1404.5997;
/// Simonyan & Zisserman 2015, arXiv 1409.1556, configuration D; Zhang et al. 2018, arXiv
/// 1801.03924. Evaluation only.
public final class PerceptualNetwork {
  public enum Backbone: String, CaseIterable, Sendable {
    case alex, vgg
  }

  public let backbone: Backbone
  /// Per layer, [C]
  public let channelWeights: [Tensor]
  private let layers: [Layer]

  private enum Layer {
    case convolution(FrozenConvolution)
    case pool(window: Int)
    /// What precedes is one of the five maps.
    case tap
  }

  /// - Parameters:
  ///   - weights: the convolutions under torchvision's keys (`features.0.weight`) or under those of
  ///     a whole LPIPS (`net.slice1.0.weight`).
  ///   - linear: the channel weights under LPIPS's keys, `lin0.model.1.weight` [1, C, 1, 1].
  /// - Throws: `UserError` of status `badData` naming the first key that is missing or has another
  ///   shape.
  public init(_ backbone: Backbone, weights: NamedWeights, linear: NamedWeights) throws {
    self.backbone = backbone
    var layers: [Layer] = []
    var inputs = 3
    var widths: [Int] = []
    for step in backbone.steps {
      switch step {
      case .convolution(let index, let outputs, let kernel, let stride, let padding):
        let slice = weights("net")("slice\(widths.count + 1)")("\(index)")
        let scope = slice.contains("weight") ? slice : weights("features")("\(index)")
        layers.append(
          .convolution(
            FrozenConvolution(
              weight: try scope.tensor("weight", [outputs, inputs, kernel, kernel]),
              bias: try scope.tensor("bias", [outputs]), stride: stride,
              padding: Padding(padding), rectified: true)))
        inputs = outputs
      case .pool(let window): layers.append(.pool(window: window))
      case .tap:
        layers.append(.tap)
        widths.append(inputs)
      }
    }
    self.layers = layers
    channelWeights = try widths.enumerated().map { index, width in
      try linear("lin\(index)")("model")("1").tensor("weight", [1, width, 1, 1]).reshaped([width])
    }
  }

  /// - Parameter image: [B, H, W, 3] in [−1, 1]
  /// - Returns: five maps [B, H_l, W_l, C_l]
  public func maps(_ image: Tensor) -> [Tensor] {
    precondition(image.shape.rank == 4 && image.shape[3] == 3, "images [B, H, W, 3] \(image.shape)")
    var maps: [Tensor] = []
    var x = Self.standardized(image)
    for layer in layers {
      switch layer {
      case .convolution(let convolution): x = convolution(x)
      case .pool(let window): x = maxPool(x, window: window, stride: 2)
      case .tap: maps.append(x)
      }
    }
    return maps
  }

  /// (x − shift) / scale per channel: ImageNet's means and deviations as LPIPS rounds them.
  private static func standardized(_ image: Tensor) -> Tensor {
    let shift: [Float] = [-0.030, -0.088, -0.188]
    let scale: [Float] = [0.458, 0.448, 0.450]
    let y = Tensor(uninitialized: image.shape)
    for i in 0..<y.count { y.base[i] = (image.base[i] - shift[i % 3]) / scale[i % 3] }
    return y
  }
}

extension PerceptualNetwork.Backbone {
  fileprivate enum Step {
    /// `index` is the layer's number in torchvision's `features`.
    case convolution(index: Int, outputs: Int, kernel: Int, stride: Int = 1, padding: Int)
    case pool(window: Int)
    case tap
  }

  fileprivate var steps: [Step] {
    switch self {
    case .alex:
      return [
        .convolution(index: 0, outputs: 64, kernel: 11, stride: 4, padding: 2), .tap,
        .pool(window: 3),
        .convolution(index: 3, outputs: 192, kernel: 5, padding: 2), .tap,
        .pool(window: 3),
        .convolution(index: 6, outputs: 384, kernel: 3, padding: 1), .tap,
        .convolution(index: 8, outputs: 256, kernel: 3, padding: 1), .tap,
        .convolution(index: 10, outputs: 256, kernel: 3, padding: 1), .tap,
      ]
    case .vgg:
      var steps: [Step] = []
      var index = 0
      let levels = [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]
      for (level, (width, count)) in levels.enumerated() {
        if level > 0 {
          steps.append(.pool(window: 2))
          index += 1
        }
        for _ in 0..<count {
          steps.append(.convolution(index: index, outputs: width, kernel: 3, padding: 1))
          index += 2  // its ReLU has a number, too
        }
        steps.append(.tap)
      }
      return steps
    }
  }
}
