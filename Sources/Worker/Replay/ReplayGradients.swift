import Diagnostics
import FlowData
import FlowNN
import FlowTensor

extension ReferenceCase {
  /// The worst parameter gradient as one row, and every stored gradient that `found` lacks as a
  /// failed row of its own.
  ///
  /// A large gradient is stored as every s-th element with the norm of the whole: both are
  /// compared.
  ///
  /// - Parameter found: the gradient under the reference's name, row-major.
  func gradientRows(_ found: (_ key: String) -> [Float]?) throws -> [ReplayRow] {
    let total = gradientsTotalNorm ?? 0
    var rows: [ReplayRow] = []
    var worst: (key: String, error: Double)?
    var count = 0
    for group in [Group.grads, .gradientSamples] {
      for key in names(group) {
        let size = group == .grads ? try shape(group, key).count : nil
        guard let gradient = found(key), size == nil || size == gradient.count else {
          rows.append(ReplayRow(name: "grads.\(key)", error: .infinity, tolerance: 0, ok: false))
          continue
        }
        let error =
          try group == .grads
          ? gradientError(
            found: gradient, expected: doubles(.grads, key), totalNorm: total)
          : sampledError(key, gradient, total)
        count += 1
        if worst == nil || !(error <= worst!.error) { worst = (key, error) }
      }
    }
    guard let worst, case .relativeL2(let bound) = tolerance(.grads, worst.key) else { return rows }
    rows.append(
      ReplayRow(
        name: "grads, worst of \(count): \(worst.key)", error: worst.error, tolerance: bound))
    return rows
  }

  private func sampledError(_ key: String, _ gradient: [Float], _ total: Double) throws -> Double {
    guard let step = gradientStrides[key] else {
      throw UserError(
        .badData, file.path, at: "header entry grads_sample_stride", found: "no stride of \(key)",
        expected: "one for each sampled gradient")
    }
    let samples = stride(from: 0, to: gradient.count, by: step).map { gradient[$0] }
    let share = (Double(samples.count) / Double(max(1, gradient.count))).squareRoot()
    let sampled = gradientError(
      found: samples, expected: try doubles(.gradientSamples, key), totalNorm: total * share)
    let norm = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    let expected = try doubles(.gradientNorms, key)[1]
    return max(sampled, abs(norm - expected) / max(expected, 1e-3 * total))
  }

  /// Copies a case's weights into `store`. A constant that the network's class makes itself, such
  /// as a position embedding, may be missing and keeps its value.
  ///
  /// - Parameter key: the case's key of a parameter; nil for one that the case does not hold.
  /// - Throws: `UserError` of status `badData` for a weight that is missing or of another size.
  func load(
    _ weights: [String: Tensor], into store: ParameterStore,
    key: (_ parameter: String) -> String? = { $0 }
  ) throws {
    for parameter in store.parameters {
      let name = key(parameter.name)
      let weight = name.flatMap { weights[$0] }
      if weight == nil && !parameter.isTrainable { continue }
      guard let weight, weight.count == parameter.shape.count else {
        throw UserError(
          .badData, file.path, at: "tensor weights.\(name ?? parameter.name)",
          found: weight.map { "shape \($0.shape)" } ?? "missing",
          expected: "shape \(parameter.shape)")
      }
      parameter.tensor.base.update(from: weight.base, count: weight.count)
    }
  }
}
