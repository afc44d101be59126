import Diagnostics
import Foundation

/// A configuration file and the overrides of the command line, as one tree.
public struct ConfigDocument: Sendable {
  public let root: ConfigNode
  /// The file, as the user named it.
  public let name: String
  /// `a.b=c`, in the order in which they were applied.
  public let overrides: [String]

  /// Reads `file` and applies `overrides` one after another.
  ///
  /// Throws `UserError`: `.missingInput` if there is no such file, `.config` with file, line and
  /// column (or the override) if either is not what a configuration may be.
  public init(file: String, overrides: [String] = []) throws {
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: file))
    } catch let error as CocoaError where error.code == .fileReadNoSuchFile {
      throw UserError(.missingInput, file, found: "no such file", expected: "a configuration file")
    } catch {
      throw UserError(
        .io, file, found: "cannot be read, \(error.localizedDescription)",
        expected: "a configuration file")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw UserError(.config, file, found: "bytes that are not UTF-8", expected: "a text file")
    }
    try self.init(text: text, name: file, overrides: overrides)
  }

  public init(text: String, name: String, overrides: [String] = []) throws {
    let parsed = try YAMLParser.parse(text, subject: name) {
      .file(name, line: $0, column: $1)
    }
    let start = ConfigOrigin.file(name, line: 1, column: 1)
    var root = parsed ?? ConfigNode(.mapping([]), start)
    if root.isNull { root = ConfigNode(.mapping([]), start) }
    guard case .mapping = root.content else {
      throw UserError(
        .config, root.origin.subject, found: root.summary, expected: "sections of named fields")
    }
    for override in overrides { root = try ConfigDocument.apply(override, to: root) }
    self.root = root
    self.name = name
    self.overrides = overrides
  }

  private static func apply(_ override: String, to root: ConfigNode) throws -> ConfigNode {
    let origin = ConfigOrigin.override(override)
    guard let equals = override.firstIndex(of: "=") else {
      throw UserError(
        .config, origin.subject, found: "no =", expected: "FIELD=VALUE, as in optimizer.lr=1e-4")
    }
    let path = override[..<equals].split(separator: ".", omittingEmptySubsequences: false)
    guard !path.contains(where: { $0.isEmpty || $0.contains(where: \.isWhitespace) }) else {
      throw UserError(
        .config, origin.subject, found: "the name \"\(override[..<equals])\"",
        expected: "a field such as optimizer.lr")
    }
    let text = String(override[override.index(after: equals)...])
    let value = try YAMLParser.parse(text, subject: origin.subject) { _, _ in origin }
    guard let value else {
      throw UserError(
        .config, origin.subject, found: "no value", expected: "a value, or null to switch off")
    }
    if case .mapping = value.content {
      throw UserError(
        .config, origin.subject, found: "a section",
        expected: "one value or a list: override the fields of a section one by one")
    }
    return try root.setting(path.map(String.init)[...], to: value, of: "")
  }
}
