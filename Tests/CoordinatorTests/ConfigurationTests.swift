import Coordinator
import Diagnostics
import Testing

/// A configuration that must be refused, and the whole of what is said.
struct Refusal: Sendable, CustomTestStringConvertible {
  var yaml: String
  var overrides: [String] = []
  var message: String

  var testDescription: String {
    (yaml.split(separator: "\n").map(String.init) + overrides).joined(separator: " ⏎ ")
   }
}

private func refusal<C: RootConfiguration>(
  _: C.Type, _ yaml: String, _ overrides: [String]
) -> UserError? {
  do {
    _ = try C(ConfigDocument(text: yaml, name: "x.yaml", overrides: overrides))
    return nil
  } catch {
    return error as? UserError
  }
}

@Suite struct ConfigurationErrors {
  static let rows: [Refusal] = [
    // Unknown keys.
    Refusal(
      yaml: "seed: 1\noptimizer:\n  kind: adamw\n  lr_rate: 1e-4\n",
      message: "x.yaml:4:3: unknown key optimizer.lr_rate.\n  did you mean optimizer.lr?"),
    Refusal(
      yaml: "sead: 1\n", message: "x.yaml:1:1: unknown key sead.\n  did you mean seed?"),
    Refusal(
      yaml: "weight_decay: 0.1\n",
      message: "x.yaml:1:1: unknown key weight_decay.\n  did you mean optimizer.weight_decay?"),
    Refusal(
      yaml: "checkpoint: {frequency: 3}\n",
      message: "x.yaml:1:14: unknown key checkpoint.frequency.\n"
        + "  known in checkpoint: every, keep"),
    Refusal(
      yaml: "", overrides: ["optimiser.lr=1"],
      message: "override optimiser.lr=1: unknown key optimiser.\n  did you mean optimizer?"),
    Refusal(
      yaml: "time: {kind: uniform, mean: 1}\n",
      message: "x.yaml:1:23: time.mean does not apply: uniform times have no parameters.\n"
        + "  remove it, or set it to null"),
    // Wrong types.
    Refusal(
      yaml: "training:\n  steps: many\n",
      message: "x.yaml:2:10, training.steps: found many; "
        + "expected an integer from 1 to 1099511627776."),
    Refusal(
      yaml: "log:\n  tensorboard: on\n",
      message: "x.yaml:2:16, log.tensorboard: found on; expected true or false.\n  write true"),
    Refusal(
      yaml: "samples: {count: 010}\n",
      message: "x.yaml:1:18, samples.count: found 010; expected an integer, at least 1.\n"
        + "  leading zeros mean octal in some YAML readers: write 10"),
    Refusal(
      yaml: "samples: {count: 1e3}\n",
      message: "x.yaml:1:18, samples.count: found 1e3; expected an integer, at least 1.\n"
        + "  write 1000"),
    Refusal(
      yaml: "samples: {count: 1_000}\n",
      message: "x.yaml:1:18, samples.count: found 1_000; expected an integer, at least 1."),
    Refusal(
      yaml: "seed: -1\n",
      message: "x.yaml:1:7, seed: found -1; expected an integer, at least 0."),
    Refusal(
      yaml: "seed: \"7\"\n",
      message: "x.yaml:1:7, seed: found the text \"7\"; expected an integer, at least 0."),
    Refusal(
      yaml: "optimizer: {lr: .inf}\n",
      message: "x.yaml:1:17, optimizer.lr: found .inf; expected a number above 0."),
    Refusal(
      yaml: "optimizer: {lr: 1e999}\n",
      message: "x.yaml:1:17, optimizer.lr: found 1e999; expected a number above 0."),
    Refusal(
      yaml: "optimizer: {betas: [0.9]}\n",
      message: "x.yaml:1:20, optimizer.betas: found a list of 1; expected a list of 2 numbers."),
    Refusal(
      yaml: "optimizer: {betas: [0.9, 1.5]}\n",
      message: "x.yaml:1:26, optimizer.betas: found 1.5; "
        + "expected a number, at least 0 and below 1."),
    Refusal(
      yaml: "optimizer: 3\n",
      message: "x.yaml:1:12, optimizer: found 3; expected a section of named fields."),
    Refusal(
      yaml: "schedule: {kind: cosin}\n",
      message: "x.yaml:1:18, schedule.kind: found cosin; "
        + "expected one of constant, cosine, linear.\n  did you mean cosine?"),
    Refusal(
      yaml: "data: {cache: [a]}\n",
      message: "x.yaml:1:15, data.cache: found a list of 1; expected text."),
    Refusal(
      yaml: "data: {cache: }\n",
      message: "x.yaml:1:15, data.cache: found nothing; expected text."),
    Refusal(
      yaml: "model: {size: S/3}\n",
      message: "x.yaml:1:15, model.size: found S/3; expected one of S/2, S/4, S/8, B/2, B/4, B/8, "
        + "L/2, L/4, L/8, XL/2, XL/4, XL/8, or null.\n  did you mean S/2?"),
    Refusal(
      yaml: "first_stage: {scale: automatic}\n",
      message: "x.yaml:1:22, first_stage.scale: found automatic; "
        + "expected a number above 0 or auto."),
    // Conditions between fields.
    Refusal(
      yaml: "training:\n  micro_batches: 6\n",
      message: "x.yaml:2:18, training.micro_batches: found 6; expected a power of two: "
        + "gradients are added in a binary tree over the micro-batches."),
    Refusal(
      yaml: "model:\n  width: 200\n",
      message: "x.yaml:2:10, model.width: 6 heads do not divide width 200; "
        + "expected a divisor of model.width."),
    Refusal(
      yaml: "model: {size: S/2}\n", overrides: ["model.width=192"],
      message: "override model.width=192, model.width: found 192; expected 384, which model.size "
        + "S/2 means.\n  remove the field, or set model.size=null for a size of your own"),
    Refusal(
      yaml: "model: {classes: 0}\nsamples: {every: 10}\n",
      message: "x.yaml:1:18, model.classes: guidance 2.0 on a model without a null label; "
        + "expected guidance 1, or model.classes and model.label_dropout above 0."),
    Refusal(
      yaml: "model: {classes: 0, label_dropout: 0.5}\n",
      message: "x.yaml:1:36, model.label_dropout: label dropout 0.5 without labels; "
        + "expected 0 where model.classes is 0."),
    // YAML itself.
    Refusal(
      yaml: "seed: 1\nlog: {every: 2}\nseed: 2\n",
      message: "x.yaml:1:1: the key seed stands twice in one section; expected each key once."),
    Refusal(
      yaml: "- 1\n- 2\n", message: "x.yaml:1:1: a list of 2; expected sections of named fields."),
    Refusal(
      yaml: "seed: !!int 3\n",
      message: "x.yaml:1:7: a YAML tag, tag:yaml.org,2002:int; "
        + "expected a plain value, or text in quotes."),
    // Overrides.
    Refusal(
      yaml: "", overrides: ["optimizer.lr"],
      message: "override optimizer.lr: no =; expected FIELD=VALUE, as in optimizer.lr=1e-4."),
    Refusal(
      yaml: "", overrides: ["optimizer.lr="],
      message: "override optimizer.lr=: no value; expected a value, or null to switch off."),
    Refusal(
      yaml: "", overrides: ["optimizer..lr=1"],
      message: "override optimizer..lr=1: the name \"optimizer..lr\"; "
        + "expected a field such as optimizer.lr."),
    Refusal(
      yaml: "", overrides: ["optimizer.lr=fast"],
      message: "override optimizer.lr=fast, optimizer.lr: found fast; expected a number above 0."),
    Refusal(
      yaml: "seed: 3\n", overrides: ["seed.x=1"],
      message: "override seed.x=1: seed is 3 (x.yaml:1:7); expected a section that has a field x."),
    Refusal(
      yaml: "", overrides: ["time={kind: uniform}"],
      message: "override time={kind: uniform}: a section; "
        + "expected one value or a list: override the fields of a section one by one."),
  ]

  @Test("is refused with place, found and expected", arguments: rows)
  func refuses(_ row: Refusal) throws {
    let error = try #require(refusal(RunConfig.self, row.yaml, row.overrides))
    #expect(error.description == row.message)
    #expect(error.status == .config)
  }

  static let autoencoderRows: [Refusal] = [
    Refusal(
      yaml: "model: {groups: 7}\n",
      message: "x.yaml:1:17, model.groups: 7 groups do not divide 32 channels; "
        + "expected a divisor of model.channels times every multiplier."),
    Refusal(
      yaml: "data: {size: 66}\n",
      message: "x.yaml:1:14, data.size: images of 66 pixels for 3 levels; "
        + "expected a multiple of 4."),
    Refusal(
      yaml: "model: {multipliers: []}\n",
      message: "x.yaml:1:22, model.multipliers: 0 levels; expected 1 to 8, a multiplier for each."),
    Refusal(
      yaml: "", overrides: ["model.multipliers=[1,x]"],
      message: "override model.multipliers=[1,x], model.multipliers: found x; "
        + "expected an integer from 1 to 1024."),
  ]

  @Test("is refused by the autoencoder's configuration", arguments: autoencoderRows)
  func refusesAutoencoder(_ row: Refusal) throws {
    let error = try #require(refusal(AutoencoderRunConfig.self, row.yaml, row.overrides))
    #expect(error.description == row.message)
  }

  /// Each has one anchor or alias that YAML would honour, at line:column.
  @Test(
    "anchors and aliases are refused where they stand",
    arguments: [
      ("seed: &a 1\n", "1:7"), ("log: {every: *a}\n", "1:14"), ("- &a [x]\n- [*a, *a]\n", "1:3"),
      ("a: 'it''s &b'\nc: *d\n", "2:4"), ("a: \"\\\" &b\"\nc: &d 1\n", "2:4"),
      ("# &x\nseed: 1 # *y\nlog:\n  &k every: 3\n", "4:3"), ("{\"a\":*b}\n", "1:6"),
      ("? *a\n: 1\n", "1:3"), ("x: !!str &a y\n", "1:10"), ("a: [b, [c], *d]\n", "1:13"),
    ])
  func anchors(_ yaml: String, _ place: String) throws {
    let error = try #require(refusal(RunConfig.self, yaml, []))
    #expect(error.description.hasPrefix("x.yaml:\(place): a YAML anchor or alias"), "\(error)")
  }

  @Test("an alias bomb ends at once, also in a key")
  func bomb() throws {
    let levels = (1...40).map { level in
      let inner = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ",")
      return "a\(level): &a\(level) [\(inner)]"
    }
    for yaml in ["a0: &a0 x\n" + levels.joined(separator: "\n"), "? &a [x]\n: 1\n? [*a, *a]\n: 2"] {
      let error = try #require(refusal(RunConfig.self, yaml, []))
      #expect(error.found.contains("anchor"))
    }
  }

  @Test("text that only looks like an anchor is text")
  func innocent() throws {
    let yaml = "data: {cache: \"*a\"} # &b\nfirst_stage:\n  path: 'a''s &b'\n"
    let config = try RunConfig(ConfigDocument(text: yaml, name: "x", overrides: []))
    #expect(config.data.cache == "*a")
    #expect(config.firstStage.stage == .autoencoder(path: "a's &b"))
    let plain = try ConfigDocument(text: "data: {cache: a*b&c}", name: "x")
    #expect(try RunConfig(plain).data.cache == "a*b&c")
  }

  @Test("a broken file names the line", arguments: ["seed: [1\nlog: 2\n", "a: 'b\n", "\tx: 1\n"])
  func broken(_ yaml: String) throws {
    let error = try #require(refusal(RunConfig.self, yaml, []))
    #expect(error.description.contains("x.yaml:"))
    #expect(error.description.contains("not valid YAML"))
  }

  @Test("files that are none")
  func files() throws {
    #expect(throws: UserError(
      .missingInput, "/nonexistent/x.yaml", found: "no such file", expected: "a configuration file")
    ) { try RunConfig.load(file: "/nonexistent/x.yaml") }
    let folder = #expect(throws: UserError.self) { try RunConfig.load(file: "/proc") }
    #expect(folder?.description == "/proc: a folder; expected a configuration file.")
    let huge = String(repeating: "#\n", count: 1 << 20)
    #expect(refusal(RunConfig.self, huge, [])?.found == "2097152 bytes")
    // Nesting is bounded by the YAML library; it must end in a message, not in a stack overflow.
    #expect(refusal(RunConfig.self, String(repeating: "[", count: 100_000), []) != nil)
  }
}
