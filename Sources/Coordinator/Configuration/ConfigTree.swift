/// A resolved configuration: every field with its value, in the order of declaration.
public indirect enum ConfigTree: Sendable, Equatable {
  /// YAML text of one value.
  case value(String)
  case list([String])
  case section([Field])
  /// A list of sections.
  case sections([ConfigTree])

  public struct Field: Sendable, Equatable {
    public var key: String
    public var tree: ConfigTree
  }

  /// Leaves as `("optimizer.lr", "0.001")`.
  public func leaves(under prefix: String = "") -> [(path: String, text: String)] {
    switch self {
    case .value(let text): [(prefix, text)]
    case .list(let items): [(prefix, "[" + items.joined(separator: ", ") + "]")]
    case .section(let fields):
      fields.flatMap { $0.tree.leaves(under: prefix.isEmpty ? $0.key : "\(prefix).\($0.key)") }
    case .sections(let items):
      items.enumerated().flatMap { i, item in item.leaves(under: "\(prefix).\(i)") }
    }
  }

  /// YAML, block style, two spaces an indent, lists on one line.
  public func yaml(indent: String = "") -> String {
    guard case .section(let fields) = self else { return (leaves().first?.text ?? "[]") + "\n" }
    return fields.map { field in
      if case .section = field.tree {
        return "\(indent)\(field.key):\n" + field.tree.yaml(indent: indent + "  ")
      }
      if case .sections(let items) = field.tree, !items.isEmpty {
        let lines = items.map { item in
          "\(indent)  - " + item.yaml(indent: indent + "    ").drop { $0 == " " }
        }
        return "\(indent)\(field.key):\n" + lines.joined()
      }
      return "\(indent)\(field.key): " + field.tree.yaml()
    }.joined()
  }

  // MARK: - Texts of values

  /// `text` plain where no YAML reader could take it for something else, or in double quotes.
  static func text(_ text: String) -> String {
    let words: Set = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"]
    let isWord = text.unicodeScalars.enumerated().allSatisfy { i, c in
      switch c {
      case "a"..."z", "A"..."Z", "_", "/": true
      case "0"..."9", "-", ".": i > 0
      default: false
      }
    }
    if isWord, !text.isEmpty, !words.contains(text.lowercased()) { return text }
    var quoted = "\""
    for c in text.unicodeScalars {
      switch c {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\n": quoted += "\\n"
      case "\t": quoted += "\\t"
      case _ where c.value < 0x20 || (0x7F...0xA0).contains(c.value) || c.value > 0xD7FF:
        let hex = String(c.value, radix: 16, uppercase: true)
        quoted += "\\U" + String(repeating: "0", count: 8 - hex.count) + hex
      default: quoted.unicodeScalars.append(c)
      }
    }
    return quoted + "\""
  }

  /// Shortest text that reads back as `value`; the mantissa has a point, which YAML 1.1 asks for.
  static func text(_ value: Double) -> String {
    let text = "\(value)"
    guard let e = text.firstIndex(of: "e"), !text.contains(".") else { return text }
    return text[..<e] + ".0" + text[e...]
  }
}
