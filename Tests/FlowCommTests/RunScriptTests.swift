import Foundation
import TestSupport
import Testing

/// scripts/run.sh with a shell script in place of the program.
@Suite(.serialized) struct RunScriptTests {
  static let script = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("scripts/run.sh").path

  /// Says that it is there, waits for a signal, and leaves as a rank with a checkpoint does.
  static let rank = """
    trap 'echo got USR1; exit 75' USR1
    echo ready > "$1/ready.${OMPI_COMM_WORLD_RANK:-0}"
    for i in $(seq 600); do sleep 0.05; done
    """

  @Test(
    "signals to the script reach every rank as USR1; its exit code is the ranks'",
    arguments: [1, 2], ["TERM", "INT", "USR1"])
  func signals(_ ranks: Int, _ signal: String) throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    // The launcher waits until all ranks have set their trap, then signals the script.
    let launcher = """
      set -m
      "$1" "$2" bash -c "$3" rank "$4" & script=$!
      until [ "$(ls "$4" | wc -l)" -eq "$2" ]; do sleep 0.05; done
      kill -s \(signal) $script
      wait $script
      """
    // A shell cannot trap what it was started to ignore: INT in a background job without
    // `set -m`, and in children of `swift test`.
    let run = try runProcess(
      "/usr/bin/env",
      [
        "--default-signal=INT", "bash", "-c", launcher, "launcher", Self.script, "\(ranks)",
        Self.rank, folder,
      ], timeout: 60)
    #expect(run.status == 75, "\(run.stderr)")
    #expect(run.stdout.components(separatedBy: "got USR1\n").count - 1 == ranks)
  }

  @Test("the command's exit code and environment", arguments: [1, 2, 3])
  func environment(_ ranks: Int) throws {
    let program = "echo $OMP_NUM_THREADS $OMP_PROC_BIND; exit 65"
    let run = try runProcess(
      Self.script, ["\(ranks)", "bash", "-c", program],
      environment: ["OMP_NUM_THREADS": "3"], timeout: 60)
    #expect(run.status == 65)
    #expect(run.stdout.contains("3 false\n"))
  }

  @Test("by default the cores are shared among the ranks")
  func threads() throws {
    let cores = ProcessInfo.processInfo.activeProcessorCount
    let run = try runProcess(
      "/usr/bin/env",
      ["-u", "OMP_NUM_THREADS", Self.script, "2", "bash", "-c", "echo $OMP_NUM_THREADS"],
      timeout: 60)
    #expect(run.stdout == "\(max(1, cores / 2))\n\(max(1, cores / 2))\n")
    #expect(run.status == 0)
  }

  @Test("more threads than cores are told, and wait passively")
  func oversubscribed() throws {
    let ranks = ProcessInfo.processInfo.activeProcessorCount + 1
    let run = try runProcess(
      Self.script, ["\(ranks)", "bash", "-c", "echo $OMP_WAIT_POLICY"],
      environment: ["OMP_NUM_THREADS": "1"], timeout: 60)
    #expect(run.stdout == String(repeating: "passive\n", count: ranks))
    #expect(run.stderr.contains("warning: \(ranks) ranks × 1 threads"))
  }

  @Test(
    "wrong use",
    arguments: [
      ([], 64, "usage:"), (["two", "true"], 64, "'two'"), (["0", "true"], 64, "'0'"),
      (["2"], 64, "no COMMAND"), (["1", "/no/such/program"], 66, "/no/such/program: not found"),
    ])
  func wrongUse(_ arguments: [String], _ status: Int32, _ message: String) throws {
    let run = try runProcess(Self.script, arguments, timeout: 20)
    #expect(run.status == status)
    #expect(run.stderr.contains(message))
    #expect(run.stdout.isEmpty)
  }

  @Test func help() throws {
    let run = try runProcess(Self.script, ["--help"], timeout: 20)
    #expect(run.status == 0)
    #expect(run.stdout.contains("usage: scripts/run.sh N COMMAND"))
  }

  private func temporaryFolder() throws -> String {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("run-script-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder.path
  }
}
