import Diagnostics

/// A part of a configuration: fields with their defaults, bound by name.
public protocol ConfigSection: Equatable, Sendable {
  /// All defaults.
  init()
  /// Names, types and bounds of the fields; see `FieldBinder`.
  mutating func bind(_ fields: FieldBinder) throws
}

/// A whole configuration: what one file holds.
public protocol RootConfiguration: ConfigSection {
  /// Conditions between fields, in the order in which a person should hear of them.
  func validate(_ check: ConfigCheck) throws
  /// Fields, or sections with all their fields, that a run may change when it resumes.
  static var changeableOnResume: [String] { get }
}

extension RootConfiguration {
  /// Binds the whole document: a key that no field asks for is an error, and so is a value that
  /// `validate` refuses.
  public init(_ document: ConfigDocument) throws {
    self.init()
    let binder = FieldBinder(document.root)
    try bind(binder)
    try rejectUnknownKeys(of: document.root, under: "", binder.session)
    try validate(ConfigCheck(origins: binder.session.origins, name: document.name))
  }

  /// Reads `file` with `overrides` (`a.b=c`); throws `UserError`.
  public static func load(file: String, overrides: [String] = []) throws -> Self {
    try Self(ConfigDocument(file: file, overrides: overrides))
  }

  /// The resolved configuration: every field, whether set or by default.  Reading `tree.yaml()`
  /// gives an equal configuration.
  public var tree: ConfigTree {
    var copy = self
    let writer = FieldBinder(nil)
    do {
      try copy.bind(writer)
    } catch {
      preconditionFailure("binding without a document reads nothing: \(error)")
    }
    return writer.tree
  }

  public var yaml: String { tree.yaml() }

  /// FNV-1a, 64 bits, over the resolved fields: equal configurations have equal hashes in every
  /// process and on every machine.
  public var fingerprint: String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for (path, text) in tree.leaves() {
      for byte in "\(path): \(text)\n".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }
    let hex = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - hex.count) + hex
  }

  private func rejectUnknownKeys(
    of node: ConfigNode, under prefix: String, _ session: FieldBinder.Session
  ) throws {
    if case .sequence(let items) = node.content {
      for (i, item) in items.enumerated() {
        try rejectUnknownKeys(of: item, under: "\(prefix).\(i)", session)
      }
    }
    guard case .mapping(let entries) = node.content else { return }
    let known = Set(session.known)
    for entry in entries {
      let name = prefix.isEmpty ? entry.key : "\(prefix).\(entry.key)"
      if known.contains(name) {
        try rejectUnknownKeys(of: entry.value, under: name, session)
      } else if let reason = session.inapplicable[name] {
        guard !entry.value.isNull else { continue }
        throw UserError(
          .config, entry.origin.subject, found: "\(name) does not apply: \(reason)",
          advice: "remove it, or set it to null")
      } else {
        throw unknownKey(entry, name, under: prefix, session.known)
      }
    }
  }

  private func unknownKey(
    _ entry: ConfigNode.Entry, _ name: String, under prefix: String, _ known: [String]
  ) -> UserError {
    let depth = prefix.isEmpty ? 0 : prefix.split(separator: ".").count
    let siblings = known.filter {
      $0.split(separator: ".").count == depth + 1 && (prefix.isEmpty || $0.hasPrefix(prefix + "."))
    }
    let keys = siblings.map { $0.split(separator: ".").last.map(String.init) ?? $0 }
    // A slip of the pen, or a longer or shorter name for it: `lr_rate`.
    let near =
      nearestName(to: entry.key, among: keys)
      ?? keys.first { entry.key.hasPrefix($0) || $0.hasPrefix(entry.key) }
    var suggestion = near.map { prefix.isEmpty ? $0 : "\(prefix).\($0)" }
    // A field of another section: `lr: …` at the top.
    suggestion = suggestion ?? known.first { $0.hasSuffix("." + entry.key) }
    return UserError(
      .config, entry.origin.subject, found: "unknown key \(name)",
      advice: suggestion.map { "did you mean \($0)?" }
        ?? "known \(prefix.isEmpty ? "at the top" : "in \(prefix)"): "
        + keys.joined(separator: ", "))
  }
}

/// Raises conditions between fields with the place where the guilty field was written.
public struct ConfigCheck: Sendable {
  let origins: [String: ConfigOrigin]
  let name: String

  /// A check of a configuration that was made in a program.
  public init() {
    origins = [:]
    name = "configuration"
  }

  init(origins: [String: ConfigOrigin], name: String) {
    self.origins = origins
    self.name = name
  }

  /// Throws unless `condition` holds.
  ///
  /// - Parameter fields: full names, the guiltiest first; the first that the document sets is
  ///   the one whose place is named.
  public func that(
    _ condition: Bool, _ fields: String..., found: @autoclosure () -> String, expected: String,
    advice: String? = nil
  ) throws {
    guard !condition else { return }
    let set = fields.first { origins[$0] != nil }
    let subject = set.flatMap { origins[$0]?.subject } ?? name
    throw UserError(
      .config, subject, at: set ?? fields[0], found: found(), expected: expected, advice: advice)
  }

  public func isPowerOfTwo(_ n: Int) -> Bool { n > 0 && n & (n - 1) == 0 }
}
