import Diagnostics
import FlowCore
import FlowData

/// One entry of a case's `runs`.
struct ReplayRun {
  let tag: String
  let entry: JSONValue
  let path: String

  init(_ entry: JSONValue, of c: ReferenceCase) throws {
    path = c.file.path
    guard let tag = entry["tag"]?.string else {
      throw UserError(.badData, path, at: "header entry config", found: "a run without a tag")
    }
    self.tag = tag
    self.entry = entry
  }

  /// Its `sample_kwargs` as a run of their own.
  var sampleArguments: ReplayRun {
    get throws { try ReplayRun(tag, value("sample_kwargs", entry["sample_kwargs"]), path) }
  }

  private init(_ tag: String, _ entry: JSONValue, _ path: String) {
    (self.tag, self.entry, self.path) = (tag, entry, path)
  }

  static func all(of c: ReferenceCase) throws -> [ReplayRun] {
    guard let runs = c.config["runs"]?.array else {
      throw UserError(.badData, c.file.path, at: "header entry config", found: "no runs")
    }
    return try runs.map { try ReplayRun($0, of: c) }
  }

  func string(_ key: String) throws -> String { try value(key, entry[key]?.string) }
  func double(_ key: String) throws -> Double { try value(key, entry[key]?.double) }
  func int(_ key: String) throws -> Int { try value(key, entry[key]?.int) }

  /// The path that the run's `schedule` names, FMBoost's linear one where it names none.
  func probabilityPath() throws -> any ProbabilityPath {
    switch entry["schedule"]?.string ?? "linear" {
    case "linear": return LinearPath()
    case "gvp": return GVPPath()
    case let other: throw unusable("schedule \(other)", expected: "linear or gvp")
    }
  }

  /// The choice named under `key`, `fallback` where there is no such entry.
  func choice<Choice: RawRepresentable & CaseIterable>(
    _ key: String, _ fallback: Choice
  ) throws -> Choice where Choice.RawValue == String {
    guard let name = entry[key]?.string else { return fallback }
    guard let choice = Choice(rawValue: name) else {
      throw unusable(
        "\(key) \(name)", expected: Choice.allCases.map(\.rawValue).joined(separator: ", "))
    }
    return choice
  }

  func unusable(_ found: String, expected: String?) -> UserError {
    UserError(
      .badData, path, at: "header entry config, run \(tag)", found: found, expected: expected)
  }

  private func value<T>(_ key: String, _ value: T?) throws -> T {
    if let value { return value }
    throw unusable("no usable \(key)", expected: nil)
  }
}
