import ArgumentParser
import Diagnostics
import FlowData
import Foundation
import RunFormat
import Worker

/// `latentflow debug …`: one rank, checked against what is known.
struct DebugCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "debug",
    abstract: "Recomputes reference cases, or one step of a run, on one rank.",
    discussion: """
      Examples:
        latentflow debug replay Tests/Fixtures
        latentflow debug step --run runs/demo --step 120
      """,
    subcommands: [DebugReplayCommand.self, DebugStepCommand.self])
}

/// `latentflow debug replay CASE…`
struct DebugReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Recomputes reference cases and compares every quantity that they hold.",
    discussion: """
      A line for each quantity: case, name, relative L2 error, tolerance, ok or FAIL; parameter
      gradients share one, that of the worst. The last line counts these lines. Exit status 1 if one
      fails; a case whose network is not built fails as «unsupported: NAME».

      Examples:
        latentflow debug replay Tests/Fixtures/A_dit_p2_uncond.safetensors
        latentflow debug replay Tests/Fixtures --json
      """)

  @Argument(
    help: "Reference cases (.safetensors), or folders that hold them.",
    completion: .file(extensions: ["safetensors"]))
  var cases: [String]

  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let paths = try cases.flatMap(casePaths)
    try Job.runAlone(threading) { _ in
      var results: [CaseResult] = []
      for path in paths {
        let c = try ReferenceCase(file: path)
        let result = CaseResult(c.name, path, try replay(c))
        if !output.json { try StandardOutput.write(result.text) }
        results.append(result)
      }
      let rows = results.flatMap(\.rows)
      let summary = ReplaySummary(
        cases: results, passed: rows.count { $0.ok }, failed: rows.count { !$0.ok })
      if output.json {
        try StandardOutput.write(json: summary)
      } else {
        try StandardOutput.write("\(summary.passed) passed, \(summary.failed) failed\n")
      }
      if summary.failed > 0 { throw ExitCode(ExitStatus.failure.rawValue) }
    }
  }

  /// The file itself, or the safetensors files of a folder in the order of their names.
  private func casePaths(_ path: String) throws -> [String] {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw UserError(
        .missingInput, path, found: "no such file or folder", expected: "reference cases")
    }
    guard isFolder.boolValue else { return [path] }
    let names = try FileManager.default.contentsOfDirectory(atPath: path)
      .filter { $0.hasSuffix(".safetensors") }.sorted()
    guard !names.isEmpty else {
      throw UserError(
        .missingInput, path, found: "no .safetensors file", expected: "a folder of reference cases")
    }
    return names.map { "\(path)/\($0)" }
  }
}

/// What became of one case.
private struct CaseResult: Encodable {
  struct Row: Encodable {
    let name: String
    /// nil where nothing could be compared.
    let error: Double?
    let tolerance: Double?
    let ok: Bool
  }

  let name: String
  let file: String
  let rows: [Row]

  init(_ name: String, _ file: String, _ rows: [ReplayRow]) {
    (self.name, self.file) = (name, file)
    self.rows = rows.map {
      Row(
        name: $0.name, error: $0.error.isFinite ? $0.error : nil, tolerance: $0.tolerance,
        ok: $0.ok)
    }
  }

  var text: String {
    var table = TextTable(rightAligned: [2, 3])
    func shown(_ x: Double?) -> String { x.map { String(format: "%.1e", $0) } ?? "-" }
    for row in rows {
      table.append(name, row.name, shown(row.error), shown(row.tolerance), row.ok ? "ok" : "FAIL")
    }
    return table.text()
  }
}

private struct ReplaySummary: Encodable {
  let cases: [CaseResult]
  let passed: Int
  let failed: Int
}

extension Job {
  /// A job that makes sense on one rank only.
  static func runAlone(_ options: ThreadOptions, _ body: (Job) throws -> Void) throws {
    try run(options) { job in
      guard job.communicator.size == 1 else {
        throw UserError(
          .usage, "latentflow debug", found: "\(job.communicator.size) ranks", expected: "one",
          advice: "start it without mpirun")
      }
      try body(job)
    }
  }
}
