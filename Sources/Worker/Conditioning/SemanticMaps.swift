import Diagnostics
import FlowCore
import FlowData
import FlowModels
import FlowTensor

/// What samples drawn after label maps are given: the shares of the classes.
public struct SemanticGivens: GivenSource {
  public let count: Int
  public let latentShape: [Int]
  private let rescaler: SpatialRescaler.Configuration
  private let map: (Int) throws -> LabelMap

  /// - Parameter map: any of `count`, `rescaler.factor` times as large as the latent.
  public init(
    _ rescaler: SpatialRescaler.Configuration, count: Int, latentShape: [Int],
    map: @escaping (Int) throws -> LabelMap
  ) {
    (self.rescaler, self.count, self.latentShape, self.map) = (rescaler, count, latentShape, map)
  }

  public func givens(_ range: Range<Int>) throws -> Givens {
    let maps = try range.map { try map(min($0, count - 1)) }
    return Givens(
      classShares: rescaler.classShares(
        ofMaps: maps.flatMap(\.labels), latentShape: latentShape))
  }
}

extension SpatialRescaler.Configuration {
  /// Pixels without a class carry this label, where it is not a class itself.
  public static let unlabelled: UInt8 = 255

  /// Shares of the classes; unlabelled pixels count for none of them.
  ///
  /// - Parameters:
  ///   - labels: of maps `factor` times as large as the latent, [B, H, W]
  ///   - latentShape: [h, w, C]
  /// - Returns: [B, h, w, classes]
  func classShares(ofMaps labels: [UInt8], latentShape: [Int]) -> Tensor {
    classShares(
      of: labels.map(Int.init), height: factor * latentShape[0], width: factor * latentShape[1],
      unlabelled: inChannels <= Int(Self.unlabelled) ? Int(Self.unlabelled) : nil)
  }
}
