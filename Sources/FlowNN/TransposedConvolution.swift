import FlowTensor

/// 2-D transposed convolution over [B, H, W, C] that makes a square of every pixel: kernel and
/// stride are `side`. Parameters `weight` [in, out, side, side] and `bias` [out].
public struct TransposedConvolution {
  public let weight: Parameter
  public let bias: Parameter

  /// Starts as PyTorch's does, whose fan-in counts the outputs here.
  public init(_ inputs: Int, _ outputs: Int, side: Int, _ scope: Scope) {
    let initializer = Initializer.torchDefault(fanIn: outputs * side * side)
    weight = scope.parameter("weight", [inputs, outputs, side, side], initializer)
    bias = scope.parameter("bias", [outputs], initializer)
  }

  /// - Parameter x: [B, H, W, in]
  /// - Returns: [B, side·H, side·W, out]
  public func callAsFunction(_ x: Tensor) -> Tensor {
    transposedConvolution(x, weight: weight.tensor, bias: bias.tensor)
  }
}
