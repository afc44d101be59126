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

  /// Channels of a context behind those of the state; 0 for none.
  public var contextChannels: Int { configuration.contextChannels }

  /// The same network without such a context.
  public var withoutContext: NetworkSpecification {
    switch self {
    case .dit(let c): .dit(c.withoutContext)
    case .dhariwal(let c): .dhariwal(c.withoutContext)
    case .song(let c): .song(c.withoutContext)
    case .efficient(let c): .efficient(c.withoutContext)
    case .adm(let c): .adm(c.withoutContext)
    case .layout(let c): .layout(c.withoutContext)
    }
  }

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

/// A network with its parameters, and where it sees semantic maps those of the map's rescaler,
/// which learn with it (Rombach et al. 2022, arXiv 2112.10752, appendix D). LFM's training leaves
/// its rescaler as it was drawn; here it is in the same store as the network, and with that in the
/// optimiser, the running average and the checkpoints.
public final class Network: VelocityField {
  /// Names of the rescaler's parameters begin with it.
  public static let rescalerScope = "rescaler"

  public let specification: NetworkSpecification
  /// nil for a network that sees no semantic map.
  public let rescaler: SpatialRescaler?
  public let store = ParameterStore()
  private let velocity: any VelocityNetwork

  /// Declares the parameters; they have no memory before `store.allocate`.
  ///
  /// - Parameter rescaler: makes the context, so that its channels are the context's.
  public init(
    _ specification: NetworkSpecification, rescaler: SpatialRescaler.Configuration? = nil
  ) {
    precondition(
      rescaler.map { $0.outChannels == specification.contextChannels } ?? true,
      "a rescaler to \(rescaler?.outChannels ?? 0) channels for a context of "
        + "\(specification.contextChannels)")
    self.specification = specification
    velocity = specification.build(store.scope)
    let scope = store.scope(Self.rescalerScope)
    self.rescaler = rescaler.map { SpatialRescaler($0, scope) }
  }

  /// - Parameters:
  ///   - x: [B, H, W, C]
  ///   - t: [B]
  ///   - condition: with class shares, [B, H, W, classes], in place of a context where there is a
  ///     rescaler
  public func callAsFunction(_ x: Tensor, t: Tensor, condition: Condition) -> Tensor {
    guard let rescaler else { return velocity(x, t: t, condition: condition) }
    guard let shares = condition.classShares, condition.context == nil else {
      preconditionFailure(
        "a network with a rescaler: class shares "
          + "\(condition.classShares.map { "\($0.shape)" } ?? "missing"), context "
          + "\(condition.context.map { "\($0.shape)" } ?? "none"), expected shares alone")
    }
    var rescaled = condition
    rescaled.context = rescaler(shares.riding(with: x))  // [B, H, W, Cc]
    rescaled.classShares = nil
    return velocity(x, t: t, condition: rescaled)
  }
}
