import FlowTensor

/// Layer norm over […, D] with parameters `weight` and `bias`, [D] each.
public struct LayerNorm {
  public let weight: Parameter
  public let bias: Parameter
  public let eps: Float

  public init(_ width: Int, eps: Float, _ scope: Scope) {
    weight = scope.parameter("weight", [width], .ones)
    bias = scope.parameter("bias", [width], .zeros)
    self.eps = eps
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {  // […, D] → […, D]
    layerNorm(x, weight: weight.tensor, bias: bias.tensor, epsilon: eps)
  }
}
