import Diagnostics
import FlowData
import FlowNN
import FlowTensor

extension ReferenceCase {
  /// The worst parameter gradient as one row, and every stored gradient that `found` lacks as a
  /// failed row of its own.
  ///
  /// A large gradient is stored as every s-th element with the norm of the whole: both are compared.
  ///
  /// - Parameter found: the gradient under the reference's name, row-major.
  func gradientRows(_ found: (_ key: String) -> [Float]?) throws -> [ReplayRow] {
    let total = gradientsTotalNorm ?? 0
    var rows: [ReplayRow] = []
    var worst: (key: String, error: Double)?
    var count = 0
    for group in [Group.grads, .gradientSamples] {
      for key in names(group) {
        guard let gradient = found(key) else {
          rows.append(ReplayRow(name: "grads.\(key)", error: .infinity, tolerance: 0, ok: false))
          continue
        }
        let error = try group == .grads
          ? gradientError(
            found: gradient, expected: doubles(.grads, key), totalNorm: total)
          : sampledError(key, gradient, total)
        count += 1
        if worst == nil || !(error <= worst!.error) { worst = (key, error) }
      }
    }
    guard let worst, case .relativeL2(let bound) = tolerance(.grads, worst.key) else {
      return rows
    }
    let name = "grads, worst of \(count): \(worst.key)"
    rows.append(ReplayRow(name: name, error: worst.error, tolerance: bound))
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

  /// Copies the case's weights into `store`.
  ///
  /// - Parameter key: the case's key of a parameter; nil for one that the case does not hold.
  /// - Throws: `UserError` of status `badData` for a weight that is missing or of another size.
  func load(into store: ParameterStore, key: (_ parameter: String) -> String?) throws {
    let weights = try weights()
    for parameter in store.parameters {
      guard let weight = key(parameter.name).flatMap({ weights[$0] }) else {
        throw UserError(
          .badData, file.path, at: "tensor weights.\(key(parameter.name) ?? parameter.name)",
          found: "missing", expected: "shape \(parameter.shape)")
      }
      guard weight.count == parameter.shape.count else {
        throw UserError(
          .badData, file.path, at: "tensor weights.\(key(parameter.name) ?? parameter.name)",
          found: "shape \(weight.shape)", expected: "shape \(parameter.shape)")
      }
      parameter.tensor.base.update(from: weight.base, count: weight.count)
    }
  }
}
