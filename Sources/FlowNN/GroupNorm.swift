import FlowTensor

/// Group norm over [B, …, C] with parameters `weight` and `bias`, [C] each.
public struct GroupNorm {
  public let weight: Parameter
  public let bias: Parameter
  public let groups: Int
  public let eps: Float

  public init(_ channels: Int, groups: Int, eps: Float, _ scope: Scope) {
    precondition(channels % groups == 0, "\(channels) channels in \(groups) groups")
    weight = scope.parameter("weight", [channels], .ones)
    bias = scope.parameter("bias", [channels], .zeros)
    self.groups = groups
    self.eps = eps
  }

  /// - Parameters:
  ///   - x: [B, …, C]
  ///   - activation: `.none` or `.silu`
  public func callAsFunction(_ x: Tensor, activation: Activation = .none) -> Tensor {
    groupNorm(
      x, groups: groups, weight: weight.tensor, bias: bias.tensor, eps: eps,
      activation: activation)
  }

  /// f(norm(x)·(1 + scale) + shift).
  ///
  /// - Parameters:
  ///   - x: [B, …, C]
  ///   - shift, scale: [B, C]
  ///   - activation: `.none` or `.silu`
  public func callAsFunction(
    _ x: Tensor, shift: Tensor, scale: Tensor, activation: Activation = .none
  ) -> Tensor {
    groupNorm(
      x, groups: groups, weight: weight.tensor, bias: bias.tensor, shift: shift, scale: scale,
      eps: eps, activation: activation)
  }
}
