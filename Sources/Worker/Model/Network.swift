import FlowCore
import FlowModels
import FlowNN
import FlowTensor

/// Which network, with everything that its construction needs.
public enum NetworkSpecification: Equatable, Sendable {
  case dit(DiT.Configuration)

  /// [H, W, C] of a latent.
  public var latentShape: [Int] {
    switch self {
    case .dit(let c): [c.resolution, c.resolution, c.channels]
    }
  }

  /// Real classes; 0 if the network takes no label.
  public var classes: Int {
    switch self {
    case .dit(let c): c.classes
    }
  }

  /// The label that stands for «no label», if the network has learnt one.
  public var nullLabel: Int? {
    switch self {
    case .dit(let c): c.hasNullClass ? c.classes : nil
    }
  }

  /// Multiply-adds × 2 of one forward pass for one sample.
  public var flopsPerSample: Double {
    switch self {
    case .dit(let c): c.flopsPerSample
    }
  }
}

/// A network with its parameters.
public final class Network: VelocityField {
  public let specification: NetworkSpecification
  public let store = ParameterStore()
  private let dit: DiT

  /// Declares the parameters; they have no memory before `store.allocate`.
  public init(_ specification: NetworkSpecification) {
    self.specification = specification
    switch specification {
    case .dit(let configuration): dit = DiT(configuration, store.scope)
    }
  }

  /// - Parameters:
  ///   - x: [B, H, W, C]
  ///   - t: [B]
  public func callAsFunction(_ x: Tensor, t: Tensor, condition: Condition) -> Tensor {
    dit(x, t: t, labels: condition.labels)
  }
}
