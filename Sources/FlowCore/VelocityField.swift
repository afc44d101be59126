import FlowTensor

/// The velocity u(x, t | condition) of a flow: a network, a guided network, or a formula.
public protocol VelocityField {
  /// - Parameters:
  ///   - x: states, [B, …]
  ///   - t: one time per sample, [B]
  /// - Returns: dx/dt, of the shape of `x`
  func callAsFunction(_ x: Tensor, t: Tensor, condition: Condition) -> Tensor
}

/// What a sample is asked to be.
public struct Condition {
  /// Class of each sample, [B]; nil for a field without labels. A network's null class is a label
  /// like any other (its index is the number of classes).
  public var labels: [Int]?
  /// Per-sample context. [B, H, W, C]: channels that the network puts behind those of the state (a
  /// low-resolution latent, a masked latent and its mask, a semantic map at the latent's size);
  /// a caller that has concatenated them itself gives none. [B, S, D]: tokens that a network with
  /// cross-attention looks at.
  public var context: Tensor?
  /// What a network attends to beside a concatenated context, [B, h, w, C].
  public var crossContext: Tensor?
  /// Shares of the classes of a semantic map in the squares that the state's pixels stand for,
  /// [B, h, w, classes]: what a network with a rescaler of its own makes its context of.
  public var classShares: Tensor?

  public init(
    labels: [Int]? = nil, context: Tensor? = nil, crossContext: Tensor? = nil,
    classShares: Tensor? = nil
  ) {
    self.labels = labels
    self.context = context
    self.crossContext = crossContext
    self.classShares = classShares
  }

  public static var none: Condition { Condition() }
}

/// Which way time runs between noise (or the source) and data. The two systems differ, and both
/// are kept: checkpoints depend on it.
public enum TimeDirection: String, Sendable, CaseIterable {
  /// Data at t = 0, noise at t = 1: sampling integrates 1 → 0.
  case dataToNoise
  /// Source at t = 0, data at t = 1: sampling integrates 0 → 1.
  case sourceToData

  /// The time at which sampling begins, and the one at which data is reached.
  public var samplingInterval: (start: Double, end: Double) {
    self == .dataToNoise ? (1, 0) : (0, 1)
  }
}
