import Diagnostics
import FlowTensor

/// The tensors of a weights file for a network that is only evaluated, under the file's own keys:
/// `weights("Mixed_5b")("branch1x1").tensor("conv.weight", [64, 192, 1, 1])`.
public struct NamedWeights {
  private let tensors: [String: Tensor]
  private let drawn: ((_ key: String, _ shape: Shape) -> Tensor)?
  private let prefix: String
  /// Named in errors.
  public let file: String

  public init(_ tensors: [String: Tensor], file: String) {
    (self.tensors, self.file, prefix, drawn) = (tensors, file, "", nil)
  }

  /// Tensors made as they are asked for: for measuring a network whose weights are not at hand.
  public init(drawn: @escaping (_ key: String, _ shape: Shape) -> Tensor) {
    (tensors, file, prefix, self.drawn) = ([:], "drawn weights", "", drawn)
  }

  private init(_ parent: NamedWeights, prefix: String) {
    (tensors, file, drawn) = (parent.tensors, parent.file, parent.drawn)
    self.prefix = prefix
  }

  public func callAsFunction(_ name: String) -> NamedWeights {
    NamedWeights(self, prefix: prefix + name + ".")
  }

  /// Whether the file has this key; what is drawn is not in a file.
  public func contains(_ name: String) -> Bool { tensors[prefix + name] != nil }

  /// - Throws: `UserError` of status `badData` naming the key, the shape found and the one
  ///   expected, or the nearest key.
  public func tensor(_ name: String, _ shape: Shape) throws -> Tensor {
    let key = prefix + name
    if let drawn { return drawn(key, shape) }
    guard let tensor = tensors[key] else {
      let near = nearestName(to: key, among: tensors.keys.sorted())
        .map { ", the nearest key is \($0)" } ?? ""
      throw UserError(
        .badData, file, at: "tensor \(key)", found: "missing\(near)", expected: "shape \(shape)")
    }
    guard tensor.shape == shape else {
      throw UserError(
        .badData, file, at: "tensor \(key)", found: "shape \(tensor.shape)",
        expected: "shape \(shape)")
    }
    return tensor
  }
}
