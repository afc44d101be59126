import FlowData
import FlowModels
import FlowTensor

extension InceptionV3 {
  /// From a weights file of any format.
  ///
  /// - Throws: `UserError` naming the first key that is missing or has another shape.
  public convenience init(_ file: any TensorSource) throws {
    try self.init(NamedWeights(file))
  }
}

extension NamedWeights {
  /// All tensors of a weights file but the counters of batch normalisations.
  public init(_ file: any TensorSource) throws {
    let tensors = try file.names.filter { !$0.hasSuffix("num_batches_tracked") }
      .map { ($0, try file.tensor($0)) }
    self.init(Dictionary(tensors, uniquingKeysWith: { a, _ in a }), file: file.path)
  }
}
