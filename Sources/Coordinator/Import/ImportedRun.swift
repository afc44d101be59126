import Diagnostics

/// What became of one field of another system's configuration.
struct ImportedField: Encodable, Equatable {
  enum Outcome: String, Encodable {
    /// It stands in the run configuration, under the name in `note`.
    case mapped
    /// It holds without a field: `note` says how.
    case kept
    /// It changes nothing, for the reason in `note`.
    case ignored
    /// It would change something, and cannot: `note` says what happens instead.
    case unsupported
  }

  let name: String
  let value: String
  /// Not written in the source: the other system's default.
  let isDefault: Bool
  let outcome: Outcome
  let note: String
}

/// A run configuration made of one of another system, and what became of each of its fields.
struct ImportedRun {
  /// What was read, as «argument file of LFM».
  let origin: String
  var config = RunConfig()
  var fields: [ImportedField] = []
  /// Where the other system keeps the weights that the configuration asks for.
  var weights: String?
  /// How the other system samples with them.
  var sampling: ImportedSampling?
  /// What a person does next, a line each.
  var advice: [String] = []

  /// A line for each field.
  var table: String {
    var table = TextTable()
    for field in fields {
      let value = oneLine(field.value) + (field.isDefault ? " (default)" : "")
      let outcome = field.outcome == .mapped ? "→ \(field.note)" : "\(field.outcome): \(field.note)"
      table.append(field.name, value, outcome)
    }
    return table.text(indent: 2)
  }

  /// The configuration as a file.
  var yaml: String { "# From \(oneLine(origin)).\n" + config.yaml }
}

/// Solver and guidance of another system's sampling script.
struct ImportedSampling: Equatable {
  var solver: String
  /// Steps of a solver with fixed steps.
  var steps: Int?
  var relativeTolerance: Double?
  var absoluteTolerance: Double?
  var guidance: Double
}

/// The fields of another system's configuration while they are read: what is read leaves a line
/// in the report.
final class ForeignFields {
  struct Value {
    var texts: [String]
    var isDefault: Bool
  }

  /// What an error message calls the source.
  let subject: String
  private let values: [String: Value]
  private(set) var fields: [ImportedField] = []

  init(subject: String, _ values: [String: Value]) {
    (self.subject, self.values) = (subject, values)
  }

  subscript(name: String) -> Value? { values[name] }

  func isGiven(_ name: String) -> Bool { values[name].map { !$0.isDefault } ?? false }

  func text(_ name: String) -> String? { values[name]?.texts.joined(separator: " ") }

  /// Puts a line into the report, unless the field does not stand there at all.
  func note(_ name: String, _ outcome: ImportedField.Outcome, _ note: String) {
    guard let value = values[name] else { return }
    fields.append(
      ImportedField(
        name: name, value: value.texts.joined(separator: " "), isDefault: value.isDefault,
        outcome: outcome, note: note))
  }

  /// A line for every field that the source sets and nobody has read.
  func noteUnread(_ reason: String) {
    let read = Set(fields.map(\.name))
    let names = values.filter { !$0.value.isDefault && !read.contains($0.key) }.keys.sorted()
    for name in names { note(name, .ignored, reason) }
  }

  /// `note`, if the source itself sets the field.
  func noteIfGiven(_ name: String, _ outcome: ImportedField.Outcome, _ text: String) {
    if isGiven(name) { note(name, outcome, text) }
  }

  // MARK: - Typed values

  func integer(_ name: String) throws -> Int {
    try number(name, "an integer") { ConfigScalar.integer($0) }
  }

  func number(_ name: String) throws -> Double {
    try number(name, "a number") { ConfigScalar.number($0.hasSuffix(".") ? $0 + "0" : $0) }
  }

  func integers(_ name: String) throws -> [Int] {
    guard let value = values[name] else { throw wrong(name, "a list of integers") }
    return try value.texts.map {
      guard let number: Int = ConfigScalar.integer($0) else {
        throw wrong(name, "a list of integers")
      }
      return number
    }
  }

  /// `true`/`false` in any capitals.
  func boolean(_ name: String) throws -> Bool {
    try number(name, "true or false") { ConfigScalar.boolean($0.lowercased()) }
  }

  /// Reads an integer that stands in the run configuration as `field`.
  func integer(_ name: String, as field: String) throws -> Int {
    note(name, .mapped, field)
    return try integer(name)
  }

  func number(_ name: String, as field: String) throws -> Double {
    note(name, .mapped, field)
    return try number(name)
  }

  func integers(_ name: String, as field: String) throws -> [Int] {
    note(name, .mapped, field)
    return try integers(name)
  }

  func boolean(_ name: String, as field: String) throws -> Bool {
    note(name, .mapped, field)
    return try boolean(name)
  }

  private func number<V>(_ name: String, _ expected: String, _ read: (String) -> V?) throws -> V {
    guard let value = values[name], value.texts.count == 1, let result = read(value.texts[0]) else {
      throw wrong(name, expected)
    }
    return result
  }

  func wrong(_ name: String, _ expected: String) -> UserError {
    UserError(
      .config, subject, at: name, found: text(name).map { "found \(oneLine($0))" } ?? "not there",
      expected: expected)
  }
}

/// A global batch as micro-batches: their size, and a power of two of them that `ranks` divide.
///
/// - Throws: `.config` where no power of two does.
func microBatches(
  of batch: Int, ranks: Int, subject: String
) throws -> (size: Int, count: Int) {
  var (size, count) = (batch, 1)
  while size % 2 == 0, size > 8 || count < ranks { (size, count) = (size / 2, count * 2) }
  guard count >= ranks || ranks & (ranks - 1) != 0 else {
    throw UserError(
      .config, subject, at: "batch", found: "\(batch) samples a step over \(ranks) processes",
      expected: "a multiple of \(ranks)")
  }
  return (size, count)
}
