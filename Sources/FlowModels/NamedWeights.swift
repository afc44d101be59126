import Diagnostics
import FlowTensor

/// The tensors of a weights file for a network that is only evaluated, under the file's own keys:
/// `weights("Mixed_5b")("branch1x1").tensor("conv.weight", [64, 192, 1, 1])`.
public struct NamedWeights {
  private let tensors: [String: Tensor]
  private let prefix: String
  /// Named in errors.
  public let file: String

  public init(_ tensors: [String: Tensor], file: String) {
    (self.tensors, self.file, prefix) = (tensors, file, "")
  }

  private init(_ parent: NamedWeights, prefix: String) {
    (tensors, file, self.prefix) = (parent.tensors, parent.file, prefix)
  }

  public func callAsFunction(_ name: String) -> NamedWeights {
    NamedWeights(self, prefix: prefix + name + ".")
  }

  public func contains(_ name: String) -> Bool { tensors[prefix + name] != nil }

  /// - Throws: `UserError` of status `badData` naming the key, the shape found and the one expected,
  ///   or the nearest key.
  public func tensor(_ name: String, _ shape: Shape) throws -> Tensor {
    let key = prefix + name
    guard let tensor = tensors[key] else {
      let near = nearestName(to: key, among: tensors.keys).map { ", the nearest key is \($0)" }
      throw UserError(
        .badData, file, at: "tensor \(key)", found: "missing" + (near ?? ""),
        expected: "shape \(shape)")
    }
    guard tensor.shape == shape else {
      throw UserError(
        .badData, file, at: "tensor \(key)", found: "shape \(tensor.shape)",
        expected: "shape \(shape)")
    }
    return tensor
  }
}
