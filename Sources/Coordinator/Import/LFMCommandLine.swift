import Diagnostics

/// A command that starts one of LFM's scripts, taken apart as the launcher and argparse would.
struct LFMCommandLine {
  /// `train_flow_latent.py`; nil where only options were given.
  private(set) var script: String?
  /// Options of the script, by full name.
  private(set) var options: [String: [String]] = [:]
  /// Options of `accelerate launch` or `torchrun`.
  private(set) var launcher: [(name: String, value: String)] = []

  /// Whether these words start one of LFM's scripts.
  static func isOne(_ words: [String]) -> Bool {
    words.contains { isScript($0) } || words.first.map { $0.hasPrefix("--") } == true
  }

  private static func isScript(_ word: String) -> Bool {
    word.hasSuffix(".py") && word.contains("flow_latent")
  }

  /// Samples rather than trains.
  var isSampling: Bool { script.map { $0.contains("test_flow_latent") } ?? false }

  /// One of the scripts that complete pictures.
  var isInpainting: Bool { script?.contains("inpainting") ?? false }
  /// One of the scripts that draw after label maps.
  var isSemantic: Bool { script?.contains("semantic") ?? false }

  /// Processes that the launcher starts.
  var processes: Int {
    func count(_ names: String...) -> Int {
      launcher.last { names.contains($0.name) }.flatMap { Int($0.value) } ?? 1
    }
    let own = ["num_proc_node", "num_process_per_node"].reduce(1) {
      $0 * (options[$1]?.first.flatMap(Int.init) ?? 1)
    }
    return count("num_processes") * count("nproc_per_node", "nproc-per-node") * count("nnodes")
      * own
  }

  init(words: [String]) throws {
    var rest = words[...]
    if let index = words.firstIndex(where: Self.isScript) {
      script = words[index].split(separator: "/").last.map(String.init)
      launcher = Self.launcherOptions(words[..<index])
      rest = words[(index + 1)...]
    }
    while let word = rest.popFirst() { try take(word, &rest) }
  }

  private mutating func take(_ word: String, _ rest: inout ArraySlice<String>) throws {
    guard word.hasPrefix("--"), word.count > 2 else {
      throw UserError(
        .usage, "command line of LFM", at: word, found: "no option's name",
        expected: "--OPTION VALUE …")
    }
    let parts = word.dropFirst(2).split(
      separator: "=", maxSplits: 1, omittingEmptySubsequences: false
    ).map(String.init)
    guard let option = LFMOption.meant(by: parts[0]) else {
      let near = nearestName(to: parts[0], among: LFMOption.all.map(\.name))
      throw UserError(
        .usage, "command line of LFM", at: "--\(parts[0])", found: "no such option",
        advice: near.map { "did you mean --\($0)?" })
    }
    var values = parts.count == 2 ? [parts[1]] : []
    if parts.count == 1, option.kind != .flag {
      while let next = rest.first, !Self.isOption(next) {
        values.append(next)
        rest = rest.dropFirst()
        if option.kind != .values { break }
      }
    }
    guard option.kind == .flag ? parts.count == 1 : !values.isEmpty else {
      throw UserError(
        .usage, "command line of LFM", at: "--\(option.name)",
        found: option.kind == .flag ? "a value" : "no value",
        expected: option.kind == .flag ? "none" : "a value")
    }
    switch option.kind {
    case .flag: options[option.name] = ["true"]
    case .anyTextIsTrue: options[option.name] = [values[0].isEmpty ? "false" : "true"]
    case .value, .values: options[option.name] = values
    }
  }

  /// A dash begins an option, unless a number follows.
  private static func isOption(_ word: String) -> Bool {
    word.hasPrefix("-") && ConfigScalar.number(word) == nil
  }

  private static let launcherFlags: Set = ["multi_gpu", "standalone", "cpu", "use_cpu"]

  private static func launcherOptions(
    _ words: ArraySlice<String>
  ) -> [(name: String, value: String)] {
    var rest = words
    var options: [(String, String)] = []
    while let word = rest.popFirst() {
      if !word.hasPrefix("-"), word.contains("=") {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        options.append((String(parts[0]), String(parts[1])))
      }
      guard word.hasPrefix("--") else { continue }
      let parts = word.dropFirst(2).split(
        separator: "=", maxSplits: 1, omittingEmptySubsequences: false
      ).map(String.init)
      if parts.count == 2 {
        options.append((parts[0], parts[1]))
      } else if !launcherFlags.contains(parts[0]), let next = rest.first, !next.hasPrefix("-") {
        options.append((parts[0], next))
        rest = rest.dropFirst()
      } else {
        options.append((parts[0], "true"))
      }
    }
    return options
  }
}

/// Words of a shell command, quotes removed. Nothing is expanded or run.
enum ShellWords {
  /// - Throws: `.usage` for a quote that does not end, and for `$` and backquotes, which only a
  ///   shell could resolve.
  static func split(_ text: String, subject: String) throws -> [String] {
    var words: [String] = []
    var word: String?
    var quote: Character?
    var characters = Array(text)[...]
    func refuse(_ found: String, _ expected: String) -> UserError {
      UserError(.usage, subject, found: found, expected: expected)
    }
    while let c = characters.popFirst() {
      if c == "\\", quote != "'", let next = characters.popFirst() {
        if next != "\n", next != "\r\n" { word = (word ?? "") + String(next) }
        continue
      }
      if quote != "'", c == "$" || c == "`" {
        throw refuse("\(c), which a shell would replace", "plain values")
      }
      if let open = quote {
        if c == open { quote = nil } else { word = (word ?? "") + String(c) }
      } else if c == "'" || c == "\"" {
        quote = c
        word = word ?? ""
      } else if c.isWhitespace {
        if let done = word { words.append(done) }
        word = nil
      } else if c == "#", word == nil {
        while let next = characters.first, !next.isNewline {
          _ = next
          characters = characters.dropFirst()
        }
      } else {
        word = (word ?? "") + String(c)
      }
    }
    guard quote == nil else { throw refuse("a quote that does not end", "a closing quote") }
    if let done = word { words.append(done) }
    return words
  }
}
