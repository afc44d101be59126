/// The keys of a weights file without what wrappers put in front of them: `module.` of data
/// parallelism, `_orig_mod.` of a compiler, `model.`, `net.` and `ema_model.` of trainers, and the
/// path of a nested dictionary.
///
/// A checkpoint may hold several models under different prefixes: each is a group.
public struct WeightKeys: Sendable {
  /// Keys that share a prefix.
  public struct Group: Sendable {
    public let prefix: String
    /// Keys without the prefix, in the file's order.
    public internal(set) var names: [String] = []
    /// Of a running average.
    public var isAverage: Bool { prefix.contains("ema") }

    public func key(_ name: String) -> String { prefix + name }
  }

  public let groups: [Group]

  public init(_ keys: [String]) {
    var groups: [String: Group] = [:]
    var order: [String] = []
    for key in keys {
      let prefix = Self.prefix(of: key)
      if groups[prefix] == nil {
        groups[prefix] = Group(prefix: prefix)
        order.append(prefix)
      }
      groups[prefix]!.names.append(String(key.dropFirst(prefix.count)))
    }
    self.groups = order.map { groups[$0]! }
  }

  private static let wrappers = [
    "module.", "model.", "ema_model.", "online_model.", "_orig_mod.", "net.",
    "first_stage_model.", "first_stage.", "vae.",
  ]

  /// What stands in front of a network's own name.
  static func prefix(of key: String) -> String {
    var rest = key[...]
    if let slash = rest.lastIndex(of: "/") { rest = rest[rest.index(after: slash)...] }
    while let wrapper = wrappers.first(where: { rest.hasPrefix($0) }) {
      rest = rest.dropFirst(wrapper.count)
    }
    return String(key.dropLast(rest.count))
  }

  /// The group that holds most of `wanted`; among equals the average if it is asked for, otherwise
  /// the trained parameters.
  public func best(for wanted: some Sequence<String>, averaged: Bool) -> Group? {
    let wanted = Set(wanted)
    return best(averaged: averaged) { group in
      group.names.reduce(0) { $0 + (wanted.contains($1) ? 1 : 0) }
    }
  }

  /// The group of the highest score; the first among equals, after the preference for averages.
  public func best(averaged: Bool, score: (Group) -> Int) -> Group? {
    var best: (score: Int, group: Group)?
    for group in groups {
      let score = 2 * score(group) + (group.isAverage == averaged ? 1 : 0)
      if best == nil || score > best!.score { best = (score, group) }
    }
    return best?.group
  }
}
