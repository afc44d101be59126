import ArgumentParser
import Diagnostics
import FlowData
import Foundation

/// `latentflow import-config`
struct ImportConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import-config",
    abstract: "Turns a configuration of LFM or FMBoost into one of latentflow.",
    discussion: """
      Reads an argument file of LFM (MODEL_TYPE=DiT-L/2 …), the config.yaml that LFM saves, a
      command that starts one of its scripts, or a YAML file of FMBoost with its overrides; says
      of each field what became of it. Nothing is run.

      Examples:
        latentflow import-config test_args/celeb256_dit.txt
        latentflow import-config --out run.yaml accelerate launch --num_processes 8 \\
          train_flow_latent.py --model_type DiT-B/2 --dataset imagenet_256 …
        latentflow import-config unet-base_psu.yaml model.params.lr=1e-4 --out run.yaml
      """)

  @Option(help: "Write the configuration to this file rather than to standard output.")
  var out: String?
  @Option(help: "Images of the data set, from which epochs become steps.")
  var images: Int?
  @OptionGroup var output: OutputOptions
  @Argument(
    parsing: .allUnrecognized, help: "A file, with overrides if it is a YAML file; or a command.")
  var source: [String]

  func validate() throws {
    guard !source.isEmpty else { throw ValidationError("give a file or a command.") }
    if let images, images < 1 {
      throw ValidationError("--images \(images): expected at least 1.")
    }
  }

  func run() throws {
    let run = try ImportConfigCommand.read(source, images: images)
    // What is written must be what `train` accepts.
    _ = try RunConfig(ConfigDocument(text: run.yaml, name: run.origin))
    if let out { _ = try Disk.local.writeAtomically(Array(run.yaml.utf8), to: out) }
    if output.json {
      try StandardOutput.write(json: Report(run))
    } else {
      let advice = run.advice.map { "  \($0)\n" }.joined()
      let report = "\(run.origin)\n\(run.table)" + (advice.isEmpty ? "" : "\nnext\n\(advice)")
      if let out {
        try StandardOutput.write(report + "\nconfiguration: \(out)\n")
      } else {
        try StandardOutput.write(report, to: 2)
        try StandardOutput.write(run.yaml)
      }
    }
  }

  private struct Report: Encodable {
    let origin: String
    let config: String
    let weights: String?
    let fields: [ImportedField]
    let advice: [String]

    init(_ run: ImportedRun) {
      (origin, config, weights) = (run.origin, run.yaml, run.weights)
      (fields, advice) = (run.fields, run.advice)
    }
  }

  /// - Parameter source: a file with overrides, or the words of a command.
  static func read(_ source: [String], images: Int? = nil) throws -> ImportedRun {
    var words = source
    if words.count == 1, words[0].contains(where: \.isWhitespace) {
      words = try ShellWords.split(words[0], subject: "command")
    }
    if let config = fmboostConfig(words) {
      return try FMBoostImport.run(config.file, words: config.rest)
    }
    if LFMCommandLine.isOne(words) {
      return try LFMImport.run(LFMCommandLine(words: words), images: images)
    }
    return try read(file: words[0], rest: Array(words.dropFirst()), images: images)
  }

  /// `… train.py --config FILE …`
  private static func fmboostConfig(_ words: [String]) -> (file: String, rest: [String])? {
    guard let script = words.firstIndex(where: { lastName(of: $0) == "train.py" }) else {
      return nil
    }
    var rest = Array(words[(script + 1)...])
    if let option = rest.firstIndex(of: "--config"), option + 1 < rest.count {
      let file = rest[option + 1]
      rest.removeSubrange(option...option + 1)
      return (file, rest)
    }
    guard let option = rest.firstIndex(where: { $0.hasPrefix("--config=") }) else { return nil }
    let file = String(rest.remove(at: option).dropFirst("--config=".count))
    return (file, rest)
  }

  private static func read(file: String, rest: [String], images: Int?) throws -> ImportedRun {
    try Preflight.requireFile(file, "a configuration of LFM or FMBoost")
    if file.hasSuffix(".yaml") || file.hasSuffix(".yml") {
      let overrides = rest.filter { !$0.hasPrefix("--") && $0.contains("=") }
      let document = try ConfigDocument(file: file, overrides: overrides)
      if FMBoostImport.isOne(document) { return try FMBoostImport.run(file, words: rest) }
      if document.root["model_type"] != nil {
        return try LFMImport.run(saved: document, images: images)
      }
      throw UserError(
        .config, file, found: "neither model.target nor model_type",
        expected: "a configuration of FMBoost, or one that LFM saved")
    }
    guard let data = FileManager.default.contents(atPath: file), data.count < 1 << 20,
      let text = String(validating: data, as: UTF8.self)
    else {
      throw UserError(.config, file, found: "no text", expected: "an argument file, or a command")
    }
    if LFMArgumentFile.isOne(text) {
      return try LFMImport.run(LFMArgumentFile(text: text, name: file), name: file)
    }
    return try readScript(text, file, images: images)
  }

  /// A shell script that holds one command of LFM.
  private static func readScript(
    _ text: String, _ file: String, images: Int?
  ) throws -> ImportedRun {
    let joined = text.replacing("\\\r\n", with: " ").replacing("\\\n", with: " ")
    let lines = joined.split(whereSeparator: \.isNewline).map(String.init)
    let commands = lines.filter {
      !$0.drop(while: \.isWhitespace).hasPrefix("#") && $0.contains("flow_latent")
    }
    guard commands.count == 1 else {
      throw UserError(
        .config, file, found: "\(commands.count) commands of LFM",
        expected: "an argument file (MODEL_TYPE=…), or one command that is not commented out",
        advice: commands.isEmpty ? nil : "give the command itself: latentflow import-config WORDS…")
    }
    let words = try ShellWords.split(commands[0], subject: file)
    return try LFMImport.run(LFMCommandLine(words: words), images: images)
  }
}
