import Diagnostics
import FlowData
import FlowNN
import FlowTensor

/// What came of reading a network's parameters from a file.
public struct ParameterLoading: Sendable {
  public enum Problem: Equatable, Sendable {
    case missing
    case unexpected
    case shape(expected: [Int], found: [Int])
  }

  /// Parameters that were read.
  public internal(set) var loaded = 0
  /// Weights with more input channels than the file's, which hold zeros there.
  public internal(set) var widened: [(key: String, read: Int, channels: Int)] = []
  /// Parameters beside a widened weight that the file does not have and that keep what was drawn.
  public internal(set) var drawn: [String] = []
  /// What stands in front of the network's names in the file.
  public internal(set) var prefix = ""
  /// Keys of the network or of the file that do not agree: those of the network in its order, then
  /// those that only the file has.
  public internal(set) var problems: [(key: String, problem: Problem)] = []
  /// Keys of the file, without the prefix.
  var names: [String] = []

  /// «2 missing, 1 unexpected, 3 of another shape»; empty if all agree.
  public var summary: String {
    func count(_ isCounted: (Problem) -> Bool) -> Int {
      problems.count { isCounted($0.problem) }
    }
    let counts = [
      (count { $0 == .missing }, "missing"), (count { $0 == .unexpected }, "unexpected"),
      (count { if case .shape = $0 { true } else { false } }, "of another shape"),
    ]
    return counts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
  }

  /// What is new in a widened network, a line each.
  public var news: [String] {
    widened.map {
      "\($0.key): \($0.read) of \($0.channels) input channels read, the others begin at zero"
    } + drawn.map { "\($0): drawn as new" }
  }

  /// Key, expected and found shape, and the nearest name, a line each.
  ///
  /// - Parameter limit: lines; the rest is counted.
  public func table(limit: Int = 20) -> String {
    var rows = [["key", "expected", "found", "nearest"]]
    for (key, problem) in problems.prefix(limit) {
      switch problem {
      case .missing: rows.append([key, "", "missing", nearestName(to: key, among: names) ?? ""])
      case .unexpected: rows.append([key, "nothing", "unexpected", ""])
      case .shape(let expected, let found): rows.append([key, "\(expected)", "\(found)", ""])
      }
    }
    let widths = (0..<4).map { column in rows.map { $0[column].count }.max() ?? 0 }
    var lines = rows.map { row in
      var line = zip(row, widths).map { cell, width in
        cell + String(repeating: " ", count: width - cell.count)
      }.joined(separator: "  ")
      while line.last == " " { line.removeLast() }
      return line
    }
    if problems.count > limit { lines.append("… and \(problems.count - limit) more") }
    return lines.joined(separator: "\n  ")
  }
}

/// Reads the parameters of `store` from `file`; bfloat16 and half widen exactly.
///
/// - Parameters:
///   - averaged: of a file that holds both, the running average.
///   - strict: everything must agree; otherwise what agrees is read, and the rest keeps its values.
///   - widening: what a network without a context, whose weights will do, too, does not have.
///   - key: the file's key, without prefix, for a parameter's name.
/// - Returns: what was read and what did not agree.
/// - Throws: `UserError` of status `badData` with a table of what is missing, unexpected or of
///   another shape.
@discardableResult
public func loadParameters(
  into store: ParameterStore, from file: any TensorSource, averaged: Bool = false,
  strict: Bool = true, widening: Widening = .none, key: (String) -> String = { $0 }
) throws -> ParameterLoading {
  var loading = ParameterLoading()
  let keys = WeightKeys(file.names)
  guard let group = keys.best(for: store.parameters.map { key($0.name) }, averaged: averaged) else {
    throw UserError(.badData, file.path, found: "no tensors", expected: "a network's weights")
  }
  (loading.prefix, loading.names) = (group.prefix, group.names)
  let present = Set(group.names)
  var used: Set<String> = []
  for parameter in store.parameters {
    let name = key(parameter.name)
    guard present.contains(name) else {
      if widening.makers.contains(parameter.name) {
        loading.drawn.append(name)
        continue
      }
      // Constants, such as a position embedding, are what the network itself makes them.
      if parameter.isTrainable { loading.problems.append((name, .missing)) }
      continue
    }
    used.insert(name)
    let shape = try file.shape(group.key(name))
    if widening.admits(parameter.name, shape, for: parameter.shape) {
      widen(try file.tensor(group.key(name)), into: parameter.tensor)
      loading.widened.append((name, shape[1], parameter.shape[1]))
      loading.loaded += 1
      continue
    }
    // A linear weight and a 1×1 convolution hold the same elements: key schemes differ here.
    guard shape.dims.filter({ $0 != 1 }) == parameter.shape.dims.filter({ $0 != 1 }) else {
      loading.problems.append(
        (name, .shape(expected: parameter.shape.dims, found: shape.dims)))
      continue
    }
    let values = try file.tensor(group.key(name))
    parameter.tensor.base.update(from: values.base, count: values.count)
    loading.loaded += 1
  }
  for name in group.names where !used.contains(name) {
    loading.problems.append((name, .unexpected))
  }
  // Weights that know a context came with what made it.
  if loading.widened.isEmpty {
    loading.problems += loading.drawn.map { ($0, .missing) }
    loading.drawn = []
  }
  if strict, !loading.problems.isEmpty {
    throw UserError(
      .badData, file.path, found: "\(loading.problems.count) tensors do not fit the network: "
        + loading.summary,
      expected: "\(store.parameters.count) parameters under the network's names",
      advice: loading.table())
  }
  return loading
}

/// The parameters of `store` as tensors for a safetensors file.
public func parameterTensors(
  of store: ParameterStore, in arena: UnsafePointer<Float>
) -> [SafetensorsTensor] {
  store.parameters.map {
    SafetensorsTensor($0.name, $0.shape.dims, arena + $0.range.lowerBound)
  }
}
