import Diagnostics

/// One field that differs between two configurations.
public struct ConfigChange: Sendable, Equatable, CustomStringConvertible {
  /// Full name, `optimizer.lr`.
  public var field: String
  /// Resolved texts; nil where the field does not exist in that configuration.
  public var old: String?
  public var new: String?
  /// Whether a run may resume with the new value.
  public var isAllowedOnResume: Bool

  public var description: String { "\(field): \(old ?? "absent") → \(new ?? "absent")" }
}

extension RootConfiguration {
  /// The fields in which this configuration differs from `old`, in the order of declaration.
  public func changes(from old: Self) -> [ConfigChange] {
    let before = old.tree.leaves()
    let after = tree.leaves()
    let oldTexts = Dictionary(before.map { ($0.path, $0.text) }, uniquingKeysWith: { a, _ in a })
    let newTexts = Dictionary(after.map { ($0.path, $0.text) }, uniquingKeysWith: { a, _ in a })
    let names = after.map(\.path) + before.map(\.path).filter { newTexts[$0] == nil }
    return names.compactMap { name in
      guard oldTexts[name] != newTexts[name] else { return nil }
      let isAllowed = Self.changeableOnResume.contains { name == $0 || name.hasPrefix($0 + ".") }
      return ConfigChange(
        field: name, old: oldTexts[name], new: newTexts[name], isAllowedOnResume: isAllowed)
    }
  }

  /// `changes(from:)` as lines, «optimizer.lr: 0.0003 → 0.0001».
  public func difference(from old: Self) -> [String] { changes(from: old).map(\.description) }

  /// Throws `.config` with the differences unless a run that began with `old` may go on with this.
  public func checkResumes(_ old: Self, run: String) throws {
    let forbidden = changes(from: old).filter { !$0.isAllowedOnResume }
    guard !forbidden.isEmpty else { return }
    throw UserError(
      .config, run, found: "the configuration has changed since the run began",
      expected: "the same values of these fields",
      advice: forbidden.map(\.description).joined(separator: "\n  ")
        + "\n  restore them, or start a new run in another folder")
  }
}
