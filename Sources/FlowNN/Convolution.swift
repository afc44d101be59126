import FlowTensor

/// 2-D convolution over [B, H, W, C] with parameters `weight` [out, in, k, k] and `bias` [out].
public struct Convolution {
  public let weight: Parameter
  public let bias: Parameter?
  public let stride: Int
  public let padding: Padding

  /// - Parameters:
  ///   - padding: nil keeps the extents at stride 1 (odd kernels).
  ///   - weights, biases: PyTorch's defaults unless given.
  public init(
    _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, padding: Padding? = nil,
    bias hasBias: Bool = true, weights: Initializer? = nil, biases: Initializer? = nil,
    _ scope: Scope
  ) {
    let fanIn = inputs * kernel * kernel
    weight = scope.parameter(
      "weight", [outputs, inputs, kernel, kernel], weights ?? .torchDefault(fanIn: fanIn))
    bias = hasBias
      ? scope.parameter("bias", [outputs], biases ?? .torchDefault(fanIn: fanIn)) : nil
    self.stride = stride
    self.padding = padding ?? Padding(kernel / 2)
  }

  /// - Parameter x: [B, H, W, in]
  /// - Returns: [B, H', W', out]
  public func callAsFunction(_ x: Tensor) -> Tensor {
    convolution(
      x, weight: weight.tensor, bias: bias?.tensor, stride: stride, padding: padding)
  }

  /// The same over nearest-neighbour up-sampling by two, which is not stored; 3×3, stride 1 only.
  ///
  /// - Parameter x: [B, H, W, in]
  /// - Returns: [B, 2·H, 2·W, out]
  public func afterUpsampling(_ x: Tensor) -> Tensor {
    precondition(
      stride == 1 && padding == Padding(1), "afterUpsampling of stride \(stride), \(padding)")
    return upsampledConvolution(x, weight: weight.tensor, bias: bias?.tensor)
  }
}
