import FlowCore
import FlowModels
import FlowNN
import FlowTensor

/// Which network, with everything that its construction needs.
public enum NetworkSpecification: Equatable, Sendable {
  case dit(DiT.Configuration)
  case dhariwal(DhariwalUNet.Configuration)
  case song(SongUNet.Configuration)
  case efficient(EfficientUNet.Configuration)
  case adm(ADMUNet.Configuration)
  case layout(LayoutUNet.Configuration)

  private var configuration: any NetworkConfiguration {
    switch self {
    case .dit(let c): c
    case .dhariwal(let c): c
    case .song(let c): c
    case .efficient(let c): c
    case .adm(let c): c
    case .layout(let c): c
    }
  }

  /// [H, W, C] of the state that the network moves.
  public var latentShape: [Int] { configuration.latentShape }

  /// Real classes; 0 if the network takes no label.
  public var classes: Int { configuration.classes }

  /// The label that stands for «no label», if the network has one.
  public var nullLabel: Int? { configuration.nullLabel }

  /// Multiply-adds × 2 of one forward pass for one sample.
  public var flopsPerSample: Double { configuration.flopsPerSample }

  fileprivate func build(_ scope: Scope) -> any VelocityNetwork {
    switch self {
    case .dit(let c): DiT(c, scope)
    case .dhariwal(let c): DhariwalUNet(c, scope)
    case .song(let c): SongUNet(c, scope)
    case .efficient(let c): EfficientUNet(c, scope)
    case .adm(let c): ADMUNet(c, scope)
    case .layout(let c): LayoutUNet(c, scope)
    }
  }
}

/// A network with its parameters.
public final class Network: VelocityField {
  public let specification: NetworkSpecification
  public let store = ParameterStore()
  private let velocity: any VelocityNetwork

  /// Declares the parameters; they have no memory before `store.allocate`.
  public init(_ specification: NetworkSpecification) {
    self.specification = specification
    velocity = specification.build(store.scope)
  }

  /// - Parameters:
  ///   - x: [B, H, W, C]
  ///   - t: [B]
  public func callAsFunction(_ x: Tensor, t: Tensor, condition: Condition) -> Tensor {
    velocity(x, t: t, condition: condition)
  }
}
