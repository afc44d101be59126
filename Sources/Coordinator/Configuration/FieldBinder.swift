import Diagnostics

/// What a number in a configuration may be.
public enum NumberRange: Sendable {
  case any, positive, nonNegative
  /// [0, 1]
  case unit
  /// [0, 1)
  case belowOne
  /// (0, 1]
  case aboveZeroToOne

  func contains(_ x: Double) -> Bool {
    switch self {
    case .any: true
    case .positive: x > 0
    case .nonNegative: x >= 0
    case .unit: (0...1).contains(x)
    case .belowOne: (0..<1).contains(x)
    case .aboveZeroToOne: x > 0 && x <= 1
    }
  }

  var words: String {
    switch self {
    case .any: "a number"
    case .positive: "a number above 0"
    case .nonNegative: "a number, at least 0"
    case .unit: "a number from 0 to 1"
    case .belowOne: "a number, at least 0 and below 1"
    case .aboveZeroToOne: "a number above 0, at most 1"
    }
  }
}

/// Binds the fields of one section to Swift values, both ways at once: a field that the document
/// holds is read into its variable, and what the variable then holds goes into the resolved tree.
/// So one declaration per field names, types, bounds, reads and writes it.
public final class FieldBinder {
  /// What all sections of one document share.
  final class Session {
    /// Full names of the fields and sections that were asked for, in order.
    var known: [String] = []
    var origins: [String: ConfigOrigin] = [:]
    /// Full names that another choice would have: name → why it does not apply.
    var inapplicable: [String: String] = [:]
  }

  let session: Session
  private let node: ConfigNode?
  private let prefix: String
  private var written: [ConfigTree.Field] = []

  /// - Parameter node: nil binds nothing and only writes.
  init(_ node: ConfigNode?, prefix: String = "", session: Session = Session()) {
    self.node = node
    self.prefix = prefix
    self.session = session
  }

  var tree: ConfigTree { .section(written) }

  func name(of key: String) -> String { prefix.isEmpty ? key : "\(prefix).\(key)" }

  // MARK: - Fields

  public func boolean(_ key: String, _ value: inout Bool) throws {
    if let entry = look(key) {
      value = try plain(entry, key, "true or false", ConfigScalar.boolean) {
        ConfigScalar.booleanAdvice($0)
      }
    }
    write(key, .value("\(value)"))
  }

  public func integer<I: FixedWidthInteger>(
    _ key: String, _ value: inout I, atLeast lower: I = .min, atMost upper: I = .max
  ) throws {
    if let entry = look(key) { value = try integer(entry.value, key, lower, upper) }
    write(key, .value("\(value)"))
  }

  /// An integer, or null for none.
  public func integer(
    _ key: String, _ value: inout Int?, atLeast lower: Int = .min, atMost upper: Int = .max
  ) throws {
    if let entry = look(key) {
      value = entry.value.isNull ? nil : try integer(entry.value, key, lower, upper)
    }
    write(key, .value(value.map { "\($0)" } ?? "null"))
  }

  public func number(_ key: String, _ value: inout Double, _ range: NumberRange = .any) throws {
    if let entry = look(key) { value = try number(entry.value, key, range) }
    write(key, .value(ConfigTree.text(value)))
  }

  /// A number, or null for none.
  public func number(
    _ key: String, _ value: inout Double?, _ range: NumberRange = .any
  ) throws {
    if let entry = look(key) {
      value = entry.value.isNull ? nil : try number(entry.value, key, range)
    }
    write(key, .value(value.map(ConfigTree.text) ?? "null"))
  }

  /// A number, or one word in its place, which binds to nil.
  public func number(
    _ key: String, _ value: inout Double?, or word: String, _ range: NumberRange = .any
  ) throws {
    if let entry = look(key) {
      if case .plain(word) = entry.value.content {
        value = nil
      } else {
        value = try number(entry.value, key, range, orElse: " or \(word)")
      }
    }
    write(key, .value(value.map(ConfigTree.text) ?? word))
  }

  public func integers(
    _ key: String, _ value: inout [Int], atLeast lower: Int = .min, atMost upper: Int = .max
  ) throws {
    if let entry = look(key) {
      value = try items(entry, key, "a list of integers").map {
        try integer($0, key, lower, upper)
      }
    }
    write(key, .list(value.map { "\($0)" }))
  }

  /// A list of `count` integers, or null for none.
  public func integers(
    _ key: String, _ value: inout [Int]?, count: Int, atLeast lower: Int = .min
  ) throws {
    if let entry = look(key) {
      if entry.value.isNull {
        value = nil
      } else {
        let found = try items(entry, key, "a list of \(count) integers, or null")
        guard found.count == count else {
          throw mismatch(entry.value, key, "a list of \(count) integers, or null")
        }
        value = try found.map { try integer($0, key, lower, .max) }
      }
    }
    write(key, value.map { .list($0.map { "\($0)" }) } ?? .value("null"))
  }

  public func numbers(
    _ key: String, _ value: inout [Double], _ range: NumberRange = .any, count: Int
  ) throws {
    if let entry = look(key) {
      let found = try items(entry, key, "a list of \(count) numbers")
      guard found.count == count else {
        throw mismatch(entry.value, key, "a list of \(count) numbers")
      }
      value = try found.map { try number($0, key, range) }
    }
    write(key, .list(value.map(ConfigTree.text)))
  }

  public func string(_ key: String, _ value: inout String) throws {
    if let entry = look(key) { value = try string(entry.value, key) }
    write(key, .value(ConfigTree.text(value)))
  }

  /// Text, or null for none.
  public func string(_ key: String, _ value: inout String?) throws {
    if let entry = look(key) { value = entry.value.isNull ? nil : try string(entry.value, key) }
    write(key, .value(value.map { ConfigTree.text($0) } ?? "null"))
  }

  public func choice<C: RawRepresentable & CaseIterable>(
    _ key: String, _ value: inout C
  ) throws where C.RawValue == String {
    if let entry = look(key) {
      let names = C.allCases.map(\.rawValue)
      let expected = names.count == 1 ? names[0] : "one of " + names.joined(separator: ", ")
      value = try plain(entry, key, expected, C.init(rawValue:)) { text in
        nearestName(to: text, among: names).map { "did you mean \($0)?" }
      }
    }
    write(key, .value(value.rawValue))
  }

  /// One of `names`, or null for none.
  public func choice(_ key: String, _ value: inout String?, among names: [String]) throws {
    if let entry = look(key) {
      if entry.value.isNull {
        value = nil
      } else {
        let expected = "one of " + names.joined(separator: ", ") + ", or null"
        value = try plain(entry, key, expected, { names.contains($0) ? $0 : nil }) { text in
          nearestName(to: text, among: names).map { "did you mean \($0)?" }
        }
      }
    }
    write(key, .value(value.map { ConfigTree.text($0) } ?? "null"))
  }

  // MARK: - Sections

  public func section<S: ConfigSection>(_ key: String, _ value: inout S) throws {
    try bind(key, look(key)?.value, &value)
  }

  /// A section, or null for none.
  public func section<S: ConfigSection>(_ key: String, _ value: inout S?) throws {
    let found = look(key)?.value
    if let found, found.isNull { value = nil } else if found != nil, value == nil { value = S() }
    guard var section = value else { return write(key, .value("null")) }
    try bind(key, found, &section)
    value = section
  }

  /// A list of sections; each is bound anew.
  public func sections<S: ConfigSection>(_ key: String, _ values: inout [S]) throws {
    if let entry = look(key) {
      let found = try items(entry, key, "a list of sections")
      values = try found.enumerated().map { i, node in
        guard case .mapping = node.content else {
          throw mismatch(node, "\(key).\(i)", "a section of named fields")
        }
        session.known.append(name(of: "\(key).\(i)"))
        var section = S()
        try section.bind(FieldBinder(node, prefix: name(of: "\(key).\(i)"), session: session))
        return section
      }
    }
    let trees = try values.map { value in
      var copy = value
      let writer = FieldBinder(nil)
      try copy.bind(writer)
      return writer.tree
    }
    write(key, .sections(trees))
  }

  /// Declares fields that would apply under another choice, so that the message can say so;
  /// null is accepted for them.
  public func inapplicable(_ keys: String..., because reason: String) {
    for key in keys { session.inapplicable[name(of: key)] = reason }
  }

  /// Whether the document, not a default, sets this field.
  public func isSet(_ key: String) -> Bool { node?[key] != nil }

  private func bind<S: ConfigSection>(
    _ key: String, _ node: ConfigNode?, _ value: inout S
  ) throws {
    if let node {
      guard case .mapping = node.content else {
        throw mismatch(node, key, "a section of named fields")
      }
    }
    let inner = FieldBinder(node, prefix: name(of: key), session: session)
    try value.bind(inner)
    write(key, inner.tree)
  }

  // MARK: - Reading one value

  private func look(_ key: String) -> ConfigNode.Entry? {
    session.known.append(name(of: key))
    let entry = node?[key]
    if let entry { session.origins[name(of: key)] = entry.value.origin }
    return entry
  }

  private func write(_ key: String, _ tree: ConfigTree) {
    written.append(.init(key: key, tree: tree))
  }

  private func mismatch(
    _ node: ConfigNode, _ key: String, _ expected: String, advice: String? = nil
  ) -> UserError {
    UserError(
      .config, node.origin.subject, at: name(of: key), found: "found \(node.summary)",
      expected: expected, advice: advice)
  }

  private func plain<V>(
    _ entry: ConfigNode.Entry, _ key: String, _ expected: String, _ read: (String) -> V?,
    advice: (String) -> String?
  ) throws -> V {
    guard case .plain(let text) = entry.value.content else {
      throw mismatch(entry.value, key, expected)
    }
    guard let value = read(text) else {
      throw mismatch(entry.value, key, expected, advice: advice(text))
    }
    return value
  }

  private func integer<I: FixedWidthInteger>(
    _ node: ConfigNode, _ key: String, _ lower: I, _ upper: I
  ) throws -> I {
    var expected = "an integer"
    if lower != .min && upper != .max {
      expected += " from \(lower) to \(upper)"
    } else if lower != .min || I.min == 0 {
      expected += ", at least \(lower)"
    } else if upper != .max {
      expected += ", at most \(upper)"
    }
    guard case .plain(let text) = node.content else { throw mismatch(node, key, expected) }
    guard let value: I = ConfigScalar.integer(text), value >= lower, value <= upper else {
      let advice = ConfigScalar.isInteger(text) ? nil : ConfigScalar.integerAdvice(text)
      throw mismatch(node, key, expected, advice: advice)
    }
    return value
  }

  private func number(
    _ node: ConfigNode, _ key: String, _ range: NumberRange, orElse: String = ""
  ) throws -> Double {
    guard case .plain(let text) = node.content, let value = ConfigScalar.number(text),
      range.contains(value)
    else { throw mismatch(node, key, range.words + orElse) }
    return value
  }

  private func string(_ node: ConfigNode, _ key: String) throws -> String {
    switch node.content {
    case .plain(let text) where !node.isNull: return text
    case .quoted(let text): return text
    default: throw mismatch(node, key, "text")
    }
  }

  private func items(
    _ entry: ConfigNode.Entry, _ key: String, _ expected: String
  ) throws -> [ConfigNode] {
    guard case .sequence(let items) = entry.value.content else {
      throw mismatch(entry.value, key, expected)
    }
    return items
  }
}
