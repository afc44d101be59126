import ArgumentParser
import Coordinator
import Diagnostics
import Foundation
import Testing

/// What the built `latentflow` answers.
struct Answer: Equatable {
  var status: Int32
  var output: String
  var errors: String
}

/// Runs the product that lies beside the tests.
func latentflow(_ arguments: String..., environment: [String: String] = [:]) throws -> Answer {
  try latentflow(arguments, environment: environment)
}

func latentflow(_ arguments: [String], environment: [String: String] = [:]) throws -> Answer {
  let process = Process()
  process.executableURL = Bundle.main.bundleURL.appendingPathComponent("latentflow")
  process.arguments = arguments
  process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
  let (output, errors) = (Pipe(), Pipe())
  process.standardOutput = output
  process.standardError = errors
  try process.run()
  let text = output.fileHandleForReading.readDataToEndOfFile()
  let messages = errors.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return Answer(
    status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
    errors: String(decoding: messages, as: UTF8.self))
}

/// A folder of its own for one test, removed with it.
final class ScratchFolder {
  let path = NSTemporaryDirectory() + "latentflow-\(UUID().uuidString)"

  init() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ text: String, to name: String) throws -> String {
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    return "\(path)/\(name)"
  }
}

@Suite(.serialized) struct CommandLineTests {
  @Test("config prints the resolved configuration")
  func config() throws {
    let folder = try ScratchFolder()
    let file = try folder.write("seed: 4\n", to: "c.yaml")
    let answer = try latentflow("config", file, "optimizer.lr=1e-4")
    #expect(answer.status == 0 && answer.errors == "")
    #expect(answer.output == (try RunConfig.load(
      file: file, overrides: ["optimizer.lr=1e-4"])).yaml)
  }

  @Test("an error is told once, by rank 0, with its status")
  func speaker() throws {
    let folder = try ScratchFolder()
    let file = try folder.write("sed: 4\n", to: "c.yaml")
    let expected = "error: \(file):1:1: unknown key sed.\n  did you mean seed?  (exit 78)\n"
    #expect(try latentflow("config", file) == Answer(status: 78, output: "", errors: expected))
    for name in ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"] {
      #expect(
        try latentflow("config", file, environment: [name: "1"])
          == Answer(status: 78, output: "", errors: ""))
    }
    #expect(try latentflow("config", "\(folder.path)/none").status == 66)
  }

  @Test("a wrong command line is status 64", arguments: [["config"], ["nonsense"], ["--nonsense"]])
  func usage(_ arguments: [String]) {
    var report: Launch.Report?
    do {
      var command = try LatentFlow.parseAsRoot(arguments)
      try command.run()
    } catch { report = Launch.Report(error, LatentFlow.self) }
    #expect(report?.status == 64 && report?.isResult == false)
    let lines = report?.text.split(separator: "\n") ?? []
    #expect(lines.first?.hasPrefix("error: ") == true)
    #expect(lines.first?.hasSuffix("  (exit 64)") == true, "\(report?.text ?? "")")
  }

  @Test("help has an example and is a result", arguments: LatentFlow.configuration.subcommands.map {
    $0.configuration.commandName ?? ""
  } + [""])
  func help(_ command: String) throws {
    let answer = command.isEmpty ? try latentflow("--help") : try latentflow(command, "--help")
    #expect(answer.status == 0 && answer.errors == "")
    #expect(answer.output.contains("Example"))
    #expect(answer.output.contains(" latentflow "))
  }

  @Test("no arguments is a call for help; the version is one line")
  func bare() throws {
    #expect(try latentflow().output.contains("SUBCOMMANDS"))
    #expect(try latentflow("--version").output == LatentFlow.version + "\n")
  }

  @Test("a reader that goes away ends output quietly")
  func closedPipe() throws {
    try SignalFlags.install()
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    close(ends[0])
    try StandardOutput.write("text", to: ends[1])
    close(ends[1])
    let full = open("/dev/full", O_WRONLY)
    let error = #expect(throws: UserError.self) { try StandardOutput.write("text", to: full) }
    #expect(error?.status == .io)
    close(full)
  }

  struct Sample: ParsableCommand {
    @OptionGroup var arguments: ConfigArguments
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var seed: SeedOptions
    @OptionGroup var output: OutputOptions
  }

  @Test("the shared options")
  func options() throws {
    let folder = try ScratchFolder()
    let file = try folder.write("seed: 4\n", to: "c.yaml")
    let parsed = try Sample.parse([
      file, "training.steps=7", "--threads", "3", "--seed", "18446744073709551615", "--json",
      "training.clip=null",
    ])
    #expect(parsed.threads.count(ranksOnNode: 2, cores: 8) == 3)
    #expect(parsed.seed.seed == .max && parsed.output.json)
    let config = try parsed.arguments.load(RunConfig.self, shortcuts: ["training.steps=9"])
    #expect(config.training.steps == 9 && config.training.clip == nil && config.seed == 4)
    let plain = try Sample.parse([file])
    #expect(plain.threads.count(ranksOnNode: 3, cores: 8) == 2)
    #expect(plain.threads.count(ranksOnNode: 9, cores: 8) == 1)
    let print = try Sample.parse([file, "--print-config"])
    #expect(throws: ExitCode.success) {
      try print.arguments.load(RunConfig.self, isSpeaker: false)
    }
    for threads in ["0", "-1", "x"] {
      let error = #expect(throws: (any Error).self) {
        try Sample.parse([file, "--threads", threads])
      }
      #expect(error.map { Launch.Report($0, Sample.self).status } == 64)
    }
  }

  @Test("what USR2 asks for is no reason to leave")
  func signals() {
    #expect(SignalFlags.leave.isSubset(of: .checkpoint) && !SignalFlags.leave.contains(.user2))
  }
}
