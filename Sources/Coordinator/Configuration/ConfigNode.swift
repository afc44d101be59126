import Diagnostics

/// Where a configuration value was written.
public enum ConfigOrigin: Sendable, Equatable {
  /// Line and column count from 1.
  case file(String, line: Int, column: Int)
  /// `a.b=c` on the command line.
  case override(String)

  /// The subject of an error message about the value.
  public var subject: String {
    switch self {
    case .file(let name, let line, let column): "\(name):\(line):\(column)"
    case .override(let text): "override \(text)"
    }
  }
}

/// A YAML value before it has a type: the text as it was written, and where.
public struct ConfigNode: Sendable {
  public enum Content: Sendable {
    /// Unquoted text: a number, a boolean, null or a string, as the field decides.
    case plain(String)
    /// Quoted text: a string, whatever it looks like.
    case quoted(String)
    case sequence([ConfigNode])
    case mapping([Entry])
  }

  public struct Entry: Sendable {
    public var key: String
    /// Where the key (not its value) stands.
    public var origin: ConfigOrigin
    public var value: ConfigNode
  }

  public var content: Content
  public var origin: ConfigOrigin

  public init(_ content: Content, _ origin: ConfigOrigin) {
    self.content = content
    self.origin = origin
  }

  /// YAML 1.2 core schema: `null`, `~` or nothing.
  public var isNull: Bool {
    guard case .plain(let text) = content else { return false }
    return text.isEmpty || text == "~" || text == "null"
  }

  /// What a person would say stands there.
  public var summary: String {
    switch content {
    case .plain(let text): text.isEmpty ? "nothing" : text
    case .quoted(let text): "the text \"\(text)\""
    case .sequence(let items): "a list of \(items.count)"
    case .mapping: "a section"
    }
  }

  subscript(key: String) -> Entry? {
    guard case .mapping(let entries) = content else { return nil }
    return entries.first { $0.key == key }
  }

  /// This tree with `value` at `path`; sections that do not exist yet are made.
  func setting(
    _ path: ArraySlice<String>, to value: ConfigNode, of name: String
  ) throws -> ConfigNode {
    guard let key = path.first else { return value }
    var entries: [Entry]
    switch content {
    case .mapping(let existing): entries = existing
    case _ where isNull: entries = []
    default:
      throw UserError(
        .config, value.origin.subject, found: "\(name) is \(summary) (\(origin.subject))",
        expected: "a section that has a field \(path.joined(separator: "."))")
    }
    let inner = name.isEmpty ? key : "\(name).\(key)"
    if let index = entries.firstIndex(where: { $0.key == key }) {
      entries[index].value =
        try entries[index].value.setting(path.dropFirst(), to: value, of: inner)
      if path.count == 1 { entries[index].origin = value.origin }
    } else {
      let empty = ConfigNode(.mapping([]), value.origin)
      let added = try empty.setting(path.dropFirst(), to: value, of: inner)
      entries.append(Entry(key: key, origin: value.origin, value: added))
    }
    return ConfigNode(.mapping(entries), origin)
  }
}
