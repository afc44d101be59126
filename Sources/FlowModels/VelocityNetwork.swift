import FlowCore
import FlowNN

/// What a run has to know of a network's configuration, whichever network it is.
public protocol NetworkConfiguration: Equatable, Sendable {
  /// [H, W, C] of the state that the network moves, without the channels of a context.
  var latentShape: [Int] { get }
  /// Channels of `Condition.context` that are concatenated behind those of the state; 0 for none.
  var contextChannels: Int { get }
  /// The same network without such a context.
  var withoutContext: Self { get }
  /// Real classes; 0 if the network takes no label.
  var classes: Int { get }
  /// The label that stands for «no label», if the network has one.
  var nullLabel: Int? { get }
  /// Multiply-adds × 2 of one forward pass for one sample, products and convolutions only.
  var flopsPerSample: Double { get }
}

/// A network that can be trained as the velocity of a flow.
public protocol VelocityNetwork: VelocityField {
  associatedtype Configuration: NetworkConfiguration
  var configuration: Configuration { get }
  /// Declares the parameters under the reference's names.
  init(_ configuration: Configuration, _ scope: Scope)
}
