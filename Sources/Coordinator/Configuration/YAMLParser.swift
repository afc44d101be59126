import Diagnostics
import Foundation
import Yams

/// YAML text to `ConfigNode`s.  Anchors, aliases and tags are refused: a configuration needs none
/// of them, and a few hundred bytes of nested aliases expand to gigabytes.
enum YAMLParser {
  /// A configuration is a page or two; what is larger is another kind of file.
  static let largestSize = 1 << 20

  /// - Parameter origin: where line and column of the text are.
  /// - Returns: nil if the text holds nothing but comments.
  static func parse(
    _ text: String, subject: String, origin: (_ line: Int, _ column: Int) -> ConfigOrigin
  ) throws -> ConfigNode? {
    guard text.utf8.count <= largestSize else {
      throw UserError(
        .config, subject, found: "\(text.utf8.count) bytes",
        expected: "a configuration of at most \(largestSize) bytes")
    }
    // Before composing: Yams hashes whole keys, and a key may be an alias.
    if let mark = AnchorScanner.firstAnchor(in: text) {
      throw anchorError(origin(mark.line, mark.column))
    }
    do {
      let parser = try Parser(yaml: text, encoding: .utf8)
      guard let root = try parser.singleRoot() else { return nil }
      // The nodes hold their anchors weakly; the parser owns them.
      return try withExtendedLifetime(parser) { try convert(root, origin: origin) }
    } catch let error as YamlError {
      throw userError(error, subject: subject, origin: origin)
    }
  }

  private static func convert(
    _ node: Node, origin: (_ line: Int, _ column: Int) -> ConfigOrigin
  ) throws -> ConfigNode {
    let place = origin(node.mark?.line ?? 1, node.mark?.column ?? 1)
    switch node {
    case .scalar(let scalar):
      guard scalar.anchor == nil else { throw anchorError(place) }
      let isPlain = scalar.style == .plain
      let tag = scalar.tag.description
      guard tag.isEmpty || (!isPlain && tag == Tag.Name.str.rawValue) else {
        throw UserError(
          .config, place.subject, found: "a YAML tag, \(tag)",
          expected: "a plain value, or text in quotes")
      }
      return ConfigNode(isPlain ? .plain(scalar.string) : .quoted(scalar.string), place)
    case .sequence(let sequence):
      guard sequence.anchor == nil else { throw anchorError(place) }
      return ConfigNode(.sequence(try sequence.map { try convert($0, origin: origin) }), place)
    case .mapping(let mapping):
      guard mapping.anchor == nil else { throw anchorError(place) }
      return ConfigNode(.mapping(try entries(of: mapping, origin: origin)), place)
    case .alias:
      throw anchorError(place)
    }
  }

  private static func entries(
    of mapping: Node.Mapping, origin: (_ line: Int, _ column: Int) -> ConfigOrigin
  ) throws -> [ConfigNode.Entry] {
    var entries: [ConfigNode.Entry] = []
    for (key, value) in mapping {
      let place = origin(key.mark?.line ?? 1, key.mark?.column ?? 1)
      // A key's tag says nothing: Yams resolves it in place when it looks for duplicates.
      guard case .scalar(let scalar) = key, scalar.style == .plain, scalar.anchor == nil else {
        throw UserError(
          .config, place.subject, found: "a key that is not a plain word",
          expected: "the name of a field")
      }
      let name = scalar.string
      guard !entries.contains(where: { $0.key == name }) else {
        throw duplicateError([name], place)
      }
      entries.append(.init(key: name, origin: place, value: try convert(value, origin: origin)))
    }
    return entries
  }

  private static func anchorError(_ place: ConfigOrigin) -> UserError {
    UserError(
      .config, place.subject, found: "a YAML anchor or alias (& or *)",
      expected: "plain values: write the value out, or put text that begins so in quotes")
  }

  private static func duplicateError(_ names: [String], _ place: ConfigOrigin) -> UserError {
    let list = names.joined(separator: ", ")
    return UserError(
      .config, place.subject, found: "the key \(list) stands twice in one section",
      expected: "each key once")
  }

  private static func userError(
    _ error: YamlError, subject: String, origin: (_ line: Int, _ column: Int) -> ConfigOrigin
  ) -> UserError {
    switch error {
    case .scanner(let context, let problem, let mark, _),
      .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      let text = context.map { "\(problem) (\($0.text))" } ?? problem
      return UserError(
        .config, origin(mark.line, mark.column).subject, found: "not valid YAML, \(text)")
    case .duplicatedKeysInMapping(let names, let context):
      return duplicateError(names.sorted(), origin(context.mark.line, context.mark.column))
    default:
      return UserError(.config, subject, found: "not valid YAML, \(error)")
    }
  }
}

/// Finds `&name` and `*name` where YAML would take them for an anchor or an alias.
struct AnchorScanner {
  private enum State { case tokenStart, tag, plain, afterQuote, single, double, comment }

  static func firstAnchor(in text: String) -> (line: Int, column: Int)? {
    let scalars = Array(text.unicodeScalars)
    var scanner = AnchorScanner()
    for i in scalars.indices {
      let next = i + 1 < scalars.count ? scalars[i + 1] : "\n"
      if scanner.take(scalars[i], next) { return (scanner.line, scanner.column) }
    }
    return nil
  }

  private var state = State.tokenStart
  private var flowDepth = 0
  private var line = 1
  private var column = 0
  private var previous: Unicode.Scalar = "\n"
  private var isEscaped = false

  /// - Returns: whether an anchor or alias begins at `c`.
  private mutating func take(_ c: Unicode.Scalar, _ next: Unicode.Scalar) -> Bool {
    column += 1
    defer {
      previous = c
      if c == "\n" { (line, column) = (line + 1, 0) }
    }
    switch state {
    case .single:
      if c == "'" { state = .afterQuote }
    case .double:
      if isEscaped { isEscaped = false } else if c == "\\" { isEscaped = true } else if c == "\"" {
        state = .afterQuote
      }
    case .comment:
      if c == "\n" { state = .tokenStart }
    case .tag:
      if isSpace(c) { state = .tokenStart }
    case .tokenStart:
      return begin(c, next)
    case .plain, .afterQuote:
      proceed(c, next)
    }
    return false
  }

  private mutating func begin(_ c: Unicode.Scalar, _ next: Unicode.Scalar) -> Bool {
    switch c {
    case "&", "*": return true
    case "#": state = .comment
    case "'": state = .single
    case "\"": state = .double
    case "!": state = .tag
    case "[", "{": flowDepth += 1
    case "]", "}": flowDepth = max(0, flowDepth - 1)
    case ",": break
    case "-", "?", ":": if !isSpace(next) { state = .plain }
    default: if !isSpace(c) { state = .plain }
    }
    return false
  }

  private mutating func proceed(_ c: Unicode.Scalar, _ next: Unicode.Scalar) {
    switch c {
    case "\n": state = .tokenStart
    case "'" where state == .afterQuote && previous == "'": state = .single  // '' inside quotes
    case "#": if isSpace(previous) { state = .comment }
    case ":": if isSpace(next) || state == .afterQuote { state = .tokenStart }
    case "[", "{", ",": if flowDepth > 0 { state = .tokenStart }
    case "]", "}":
      if flowDepth > 0 { (flowDepth, state) = (flowDepth - 1, .plain) }
    default: if !isSpace(c) { state = .plain }
    }
    if flowDepth > 0, c == "[" || c == "{" { flowDepth += 1 }
  }

  private func isSpace(_ c: Unicode.Scalar) -> Bool {
    c == " " || c == "\t" || c == "\n" || c == "\r"
  }
}
