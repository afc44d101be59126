import FlowTensor

/// How a parameter starts. Draws are a function of the seed and of the parameter's name.
public enum Initializer: Sendable {
  case zeros
  case ones
  /// N(0, std²).
  case normal(std: Float)
  /// U(−bound, bound).
  case uniform(bound: Float)
  /// Given values, row-major.
  case values([Float])

  /// U(±gain·√(6 / (fanIn + fanOut))).  Glorot & Bengio 2010, eq. 16.
  public static func xavierUniform(fanIn: Int, fanOut: Int, gain: Float = 1) -> Initializer {
    .uniform(bound: gain * (6 / Float(fanIn + fanOut)).squareRoot())
  }

  /// U(±1/√fanIn), PyTorch's default for linear and convolution layers.
  public static func torchDefault(fanIn: Int) -> Initializer {
    .uniform(bound: 1 / Float(fanIn).squareRoot())
  }
}

/// A named slice of a `ParameterStore`'s arena.
public final class Parameter {
  /// The reference's key, e.g. `blocks.3.attn.qkv.weight`.
  public let name: String
  /// The reference's shape; convolution weights are `[out, in, kh, kw]`.
  public let shape: Shape
  public let initializer: Initializer
  /// False for constants such as a position embedding: no gradient, not touched by the optimiser.
  public let isTrainable: Bool
  /// This parameter's elements in the arenas.
  public internal(set) var range: Range<Int> = 0..<0
  var bound: Tensor?

  init(name: String, shape: Shape, initializer: Initializer, isTrainable: Bool) {
    self.name = name
    self.shape = shape
    self.initializer = initializer
    self.isTrainable = isTrainable
  }

  /// The value, with its gradient's place if the store gathers gradients.
  public var tensor: Tensor {
    guard let bound else {
      preconditionFailure("parameter \(name) is used before ParameterStore.allocate()")
    }
    return bound
  }

  public var gradient: Gradient? { bound?.gradient }
}

/// Names parameters: `scope("blocks")("3")("attn").parameter("weight", …)`.
public struct Scope {
  let store: ParameterStore
  let prefix: String

  public func callAsFunction(_ name: String) -> Scope {
    Scope(store: store, prefix: prefix.isEmpty ? name : prefix + "." + name)
  }

  public func parameter(
    _ name: String, _ shape: Shape, _ initializer: Initializer, trainable: Bool = true
  ) -> Parameter {
    store.declare(
      Parameter(
        name: prefix.isEmpty ? name : prefix + "." + name, shape: shape, initializer: initializer,
        isTrainable: trainable))
  }
}
