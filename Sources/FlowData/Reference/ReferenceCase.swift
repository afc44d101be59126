import Diagnostics
import FlowTensor

/// A numerical parity case: inputs, weights and what a reference implementation computed from them,
/// in one safetensors file. Tensors keep the reference's layouts ([B, C, H, W]; see `nhwc`).
public final class ReferenceCase: Sendable {
  /// How near a float32 result has to come.
  public enum Tolerance: Equatable, Sendable {
    /// Bound of the relative L2 error.
    case relativeL2(Double)
    /// Ill-conditioned in float32: do not compare.
    case notComparable
    /// The case says nothing: integers and exact values.
    case unstated
  }

  /// What the tensors of a case are; the raw value is the prefix of their names.
  public enum Group: String, Sendable, CaseIterable {
    case weights, inputs, outputs, outputs64, grads
    case gradientSamples = "grads_sample"
    case gradientNorms = "grads_norm"
    case inputGradients = "grad_inputs"
  }

  public let name: String
  /// Constructor arguments under the reference's names, `class`, and the runs made.
  public let config: JSONValue
  /// All header strings: `checks`, `reference`, `notes`, `loss` ….
  public let header: [String: String]
  public let file: SafetensorsFile
  /// L2 norm of all gradients together; nil where a case has none.
  public let gradientsTotalNorm: Double?
  /// For sampled gradients: every how many elements one is stored.
  public let gradientStrides: [String: Int]

  private let tolerances: [String: JSONValue]
  private let rules: [String: JSONValue]?

  /// Throws `.missingInput` or `.badData` naming the file and the header entry.
  public init(file path: String) throws {
    let file = try SafetensorsFile(path)
    self.file = file
    header = file.metadata
    func entry(_ key: String) throws -> JSONValue? {
      guard let text = file.metadata[key], !text.isEmpty else { return nil }
      do {
        return try JSONValue(parsing: text)
      } catch {
        throw UserError(
          .badData, path, at: "header entry \(key)",
          found: "\(error.reason) at its byte \(error.byte)", expected: "JSON")
      }
    }
    func object(_ key: String) throws -> [String: JSONValue]? {
      guard let value = try entry(key) else { return nil }
      guard let object = value.object else {
        throw UserError(
          .badData, path, at: "header entry \(key)", found: value.kind, expected: "an object")
      }
      return object
    }
    guard let name = file.metadata["case"], let config = try object("config") else {
      throw UserError(
        .badData, path, found: "no header entries case and config", expected: "a reference case")
    }
    self.name = name
    self.config = .object(config)
    tolerances = try object("recommended_rel_l2") ?? [:]
    gradientsTotalNorm = try entry("grads_total_norm")?.double
    gradientStrides = (try object("grads_sample_stride") ?? [:]).compactMapValues(\.int)
    rules = file.metadata["weights_stored"] == "no" ? try object("weights_rules") ?? [:] : nil
  }

  /// Names in `group` without its prefix, in the order of their bytes.
  public func names(_ group: Group) -> [String] {
    let prefix = group.rawValue + "."
    return file.names.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
      .sorted(by: precedes)
  }

  public func contains(_ group: Group, _ name: String) -> Bool {
    file.contains("\(group.rawValue).\(name)")
  }

  /// As float32, in the reference's layout.
  public func tensor(_ group: Group, _ name: String) throws -> Tensor {
    try file.tensor("\(group.rawValue).\(name)")
  }

  public func doubles(_ group: Group, _ name: String) throws -> [Double] {
    try file.doubles("\(group.rawValue).\(name)")
  }

  public func ints(_ group: Group, _ name: String) throws -> [Int] {
    try file.ints("\(group.rawValue).\(name)")
  }

  public func shape(_ group: Group, _ name: String) throws -> Shape {
    try file.shape("\(group.rawValue).\(name)")
  }

  public func input(_ name: String) throws -> Tensor { try tensor(.inputs, name) }

  /// The best known value of an output: the float64 one where there is one.
  public func expected(_ output: String) throws -> [Double] {
    try doubles(contains(.outputs64, output) ? .outputs64 : .outputs, output)
  }

  /// The tolerance of a tensor by group; all parameter gradients share one.
  public func tolerance(_ group: Group, _ name: String) -> Tolerance {
    let key: String
    switch group {
    case .outputs, .outputs64: key = "outputs.\(name)"
    case .grads, .gradientSamples, .gradientNorms: key = "grads"
    case .inputGradients, .inputs, .weights: key = "\(group.rawValue).\(name)"
    }
    switch tolerances[key] {
    case nil: return .unstated
    case .some(.null): return .notComparable
    case .some(let value): return value.double.map(Tolerance.relativeL2) ?? .unstated
    }
  }

  /// The parts of a case with several networks ("net", "vae"); empty for one network.
  public var parts: [String] {
    guard let rules else { return [] }
    return rules.filter { $0.value["rule"] == nil }.keys.sorted(by: precedes)
  }

  /// Parameters and buffers under the names of the reference's state dictionary, stored or
  /// generated; what the network's class constructs itself is left out.
  /// - Parameter part: which network, for a case with several (`parts`).
  public func weights(of part: String? = nil) throws -> [String: Tensor] {
    guard let rules else {
      return try Dictionary(
        uniqueKeysWithValues: names(.weights).map { ($0, try tensor(.weights, $0)) })
    }
    var members = rules
    if !parts.isEmpty {
      guard let part, let chosen = rules[part]?.object else {
        throw UserError(
          .badData, file.path, at: "header entry weights_rules",
          found: "no part \(part.map(shown) ?? "named")",
          expected: "one of \(parts.joined(separator: ", "))")
      }
      members = chosen
    }
    let salt = header["salt"] ?? ""
    var result: [String: Tensor] = [:]
    for (key, member) in members {
      guard let (shape, rule) = try recipe(key, member) else { continue }
      result[key] = HashedWeights.tensor(salt + key, shape, rule)
    }
    return result
  }

  /// nil for a tensor that the network's class constructs.
  private func recipe(_ key: String, _ member: JSONValue) throws -> (Shape, HashedWeights.Rule)? {
    func failure(_ found: String, _ expected: String) -> UserError {
      UserError(
        .badData, file.path, at: "header entry weights_rules, \(shown(key))", found: found,
        expected: expected)
    }
    let dims = member["shape"]?.array?.compactMap(\.int)
    guard let dims, dims.allSatisfy({ (0...1 << 20).contains($0) }), dims.count <= 5,
      dims.reduce(1.0, { $0 * Double($1) }) < 0x1p31
    else { throw failure("no usable shape", "a shape of at most 2^31 elements") }
    switch member["rule"]?.string {
    case "constructed": return nil
    case "norm": return (Shape(dims), .norm)
    case "bias": return (Shape(dims), .bias)
    case "pos": return (Shape(dims), .positive)
    case "scale":
      guard let scale = member["scale"]?.double else { throw failure("no scale", "a number") }
      return (Shape(dims), .scale(Float(scale)))
    case let other:
      throw failure(
        "rule \(other.map(shown) ?? "missing")", "scale, norm, bias, pos or constructed")
    }
  }
}

/// ‖found − expected‖ / ‖expected‖ in double. 0 if both vanish, infinite if only `expected` does;
/// not a number if anything found is, so that no comparison with it holds.
public func relativeL2(found: [Float], expected: [Double]) -> Double {
  relativeL2(found: found.map(Double.init), expected: expected)
}

public func relativeL2(found: [Double], expected: [Double]) -> Double {
  let (difference, norm) = l2(found, expected)
  return difference == 0 ? 0 : difference / norm
}

public func relativeL2(found: Tensor, expected: [Double]) -> Double {
  relativeL2(found: found.values, expected: expected)
}

/// The error of a parameter's gradient as the cases measure it: relative to its own norm, but to no
/// less than 1/1000 of the norm of all gradients, because an exact zero is only met by round-off.
public func gradientError(found: [Float], expected: [Double], totalNorm: Double) -> Double {
  let (difference, norm) = l2(found.map(Double.init), expected)
  return difference == 0 ? 0 : difference / max(norm, 1e-3 * totalNorm)
}

private func l2(_ found: [Double], _ expected: [Double]) -> (difference: Double, norm: Double) {
  precondition(
    found.count == expected.count, "\(found.count) elements found, \(expected.count) expected")
  var difference = 0.0
  var norm = 0.0
  for i in 0..<found.count {
    let d = found[i] - expected[i]
    difference += d * d
    norm += expected[i] * expected[i]
  }
  return (difference.squareRoot(), norm.squareRoot())
}
