import Diagnostics

/// Names with numbered ranges and alternatives in braces, as shards are given to WebDataset:
/// `shard-{000000..000010}.tar` is 11 names, `{train,val}.tar` two. Ranges keep leading zeros.
public enum BraceExpansion {
  /// More names than anyone has shards.
  static let mostNames = 1 << 20

  /// The names in order, the last brace running fastest. Throws `.usage` for braces that do not
  /// close or hold neither a range nor alternatives.
  public static func names(_ pattern: String) throws -> [String] {
    guard let open = pattern.firstIndex(of: "{") else {
      guard !pattern.contains("}") else { throw fail(pattern, "} without {") }
      return [pattern]
    }
    guard let close = pattern[open...].firstIndex(of: "}") else {
      throw fail(pattern, "{ without }")
    }
    let inner = pattern[pattern.index(after: open)..<close]
    guard !inner.contains("{") else { throw fail(pattern, "braces within braces") }
    let rests = try names(String(pattern[pattern.index(after: close)...]))
    let choices = try alternatives(inner, pattern)
    guard choices.count * rests.count <= mostNames else {
      throw fail(pattern, "\(choices.count * rests.count) names")
    }
    return choices.flatMap { choice in rests.map { "\(pattern[..<open])\(choice)\($0)" } }
  }

  private static func alternatives(_ inner: Substring, _ pattern: String) throws -> [String] {
    let parts = inner.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    if parts.count > 1 { return parts }
    let ends = inner.split(separator: ".", omittingEmptySubsequences: false)
    guard ends.count == 3, ends[1].isEmpty, let first = Int(ends[0]), let last = Int(ends[2]),
      first >= 0, first <= last
    else { throw fail(pattern, "{\(inner)}") }
    guard last - first < mostNames else { throw fail(pattern, "\(last - first) names") }
    let width = ends[0].first == "0" || ends[2].first == "0" ? max(ends[0].count, ends[2].count) : 1
    return (first...last).map { digits($0, width) }
  }

  private static func fail(_ pattern: String, _ found: String) -> UserError {
    UserError(
      .usage, pattern, found: found,
      expected: "a range {000..010} or alternatives {a,b}, of at most \(mostNames) names")
  }
}
