import FlowData
import FlowModels
import FlowTensor

extension InceptionV3 {
  /// From a weights file of any format.
  ///
  /// - Throws: `UserError` naming the first key that is missing or has another shape.
  public convenience init(_ file: any TensorSource) throws {
    let tensors = try file.names.filter { !$0.hasSuffix("num_batches_tracked") }
      .map { ($0, try file.tensor($0)) }
    try self.init(
      NamedWeights(Dictionary(tensors, uniquingKeysWith: { a, _ in a }), file: file.path))
  }
}
