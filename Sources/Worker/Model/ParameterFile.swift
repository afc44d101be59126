import Diagnostics
import FlowData
import FlowNN
import FlowTensor

/// Reads every parameter of `store` from `file`.
///
/// - Parameter key: the file's key for a parameter's name.
/// - Throws: `UserError` of status `badData` that lists what is missing, unexpected or of another
///   shape, with the nearest name of the file.
public func loadParameters(
  into store: ParameterStore, from file: any TensorSource, key: (String) -> String = { $0 }
) throws {
  var problems: [String] = []
  var used: Set<String> = []
  for parameter in store.parameters {
    let name = key(parameter.name)
    guard file.contains(name) else {
      if parameter.isTrainable {
        let near = nearestName(to: name, among: file.names).map { ", the nearest is \($0)" } ?? ""
        problems.append("\(name): missing\(near)")
      }
      continue
    }
    used.insert(name)
    let shape = try file.shape(name)
    // A linear weight and a 1×1 convolution hold the same elements: key schemes differ here.
    guard shape.dims.filter({ $0 != 1 }) == parameter.shape.dims.filter({ $0 != 1 }) else {
      problems.append("\(name): expected shape \(parameter.shape), found \(shape)")
      continue
    }
    let values = try file.tensor(name)
    parameter.tensor.base.update(from: values.base, count: values.count)
  }
  for name in file.names where !used.contains(name) { problems.append("\(name): unexpected") }
  guard problems.isEmpty else {
    let shown = Array(problems.prefix(12))
    let more = problems.count > 12 ? ["… and \(problems.count - 12) more"] : []
    throw UserError(
      .badData, file.path, found: "\(problems.count) tensors do not fit the network",
      expected: "\(store.parameters.count) parameters under the network's names",
      advice: (shown + more).joined(separator: "\n  "))
  }
}

/// The parameters of `store` as tensors for a safetensors file.
public func parameterTensors(
  of store: ParameterStore, in arena: UnsafePointer<Float>
) -> [SafetensorsTensor] {
  store.parameters.map {
    SafetensorsTensor($0.name, $0.shape.dims, arena + $0.range.lowerBound)
  }
}
