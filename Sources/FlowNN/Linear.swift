import FlowTensor

/// y = f(x·Wᵀ + b) with parameters `weight` [out, in] and `bias` [out].
public struct Linear {
  public let weight: Parameter
  public let bias: Parameter?

  public init(
    _ inputs: Int, _ outputs: Int, bias hasBias: Bool = true, weights: Initializer? = nil,
    biases: Initializer = .zeros, _ scope: Scope
  ) {
    weight = scope.parameter(
      "weight", [outputs, inputs], weights ?? .xavierUniform(fanIn: inputs, fanOut: outputs))
    bias = hasBias ? scope.parameter("bias", [outputs], biases) : nil
  }

  /// - Parameter x: […, in]
  /// - Returns: […, out]
  public func callAsFunction(_ x: Tensor, activation: Activation = .none) -> Tensor {
    linear(x, weight: weight.tensor, bias: bias?.tensor, activation: activation)
  }
}
