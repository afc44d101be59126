import Foundation
import TestSupport
import Testing

extension EndToEnd {
  /// Whatever ends a run, the same command goes on and ends with the bits of a run never ended.
  @Suite(.serialized) struct Interruption {
    static let script = "\(Workshop.repository)/scripts/run.sh"
    static let steps = 100

    /// Slow enough to be hit in the middle: some 10 ms a step.
    static let slow = [
      "model.width=64", "model.depth=4", "training.micro_batch=16", "training.steps=\(steps)",
      "checkpoint.every=10",
    ]

    private static let made = Result {
      let scratch = try Scratch()
      let run = "\(scratch.path)/whole"
      try latentflow(try Workshop.shared.train(run) + slow).requireSuccess()
      return (scratch, run, try TrainedBits(run: run, step: steps))
    }

    /// The run that nobody ended, and what it came to.
    static var whole: (scratch: Scratch, run: String, bits: TrainedBits) {
      get throws { try made.get() }
    }

    /// Starts `command` in a process group of its own and, once `rows` steps are logged, does what
    /// `act` says; then waits for it. In `act`, $child is its process, $run the run folder.
    private func interrupt(
      _ command: [String], run: String, afterRows rows: Int, _ act: String
    ) throws -> Outcome {
      let shell = """
        set -m
        run=$1 rows=$2
        shift 2
        "$@" & child=$!
        trap 'kill -9 $child' TERM
        until [ "$(wc -l 2>/dev/null < "$run/metrics.csv" || echo 0)" -gt "$rows" ]; do
          kill -0 $child 2>/dev/null || break
          sleep 0.005
        done
        \(act)
        wait $child
        """
      let ended = try runProcess(
        "/usr/bin/env", ["bash", "-c", shell, "interrupt", run, "\(rows)"] + command,
        environment: launchEnvironment, timeout: 60)
      return Outcome(
        status: ended.status, output: ended.stdout, errors: ended.stderr, seconds: 0)
    }

    private func command(_ run: String, _ more: [String] = []) throws -> [String] {
      try Workshop.shared.train(run) + Self.slow + more + ["--threads", "1"]
    }

    @Test(
      "killed at a random step and resumed, also on another number of ranks",
      arguments: [(1, 1), (2, 2), (2, 4), (4, 1)], ["rank 0", "launcher"])
    func killed(_ ranks: (before: Int, after: Int), _ victim: String) throws {
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      let row = Int.random(in: 12...60)
      // The lock names the process of rank 0; with one rank it is the launcher's too.
      let process = victim == "rank 0" ? "$(cut -d' ' -f2 \"$run/.lock\")" : "$child"
      let killed = try interrupt(
        launch(ranks.before, try command(run)), run: run, afterRows: row, "kill -9 \(process)")
      try #require(killed.status != 0, "after row \(row): \(killed)")
      let logged = try metricRows(run).count
      try #require(logged >= row && logged < Self.steps, "\(logged) rows, killed after \(row)")
      // Ranks that lost their launcher end by themselves; flock waits for the last of them.
      let resumed = try runProcess(
        "/usr/bin/env",
        ["bash", "-c", "flock \"$0/.lock\" true; exec \"$@\"", run]
          + launch(ranks.after, try command(run)),
        environment: launchEnvironment, timeout: 60)
      #expect(resumed.status == 0 && resumed.stderr.contains("resuming"), "\(resumed.stderr)")
      let bits = try TrainedBits(run: run, step: Self.steps)
      let expected = try Self.whole.bits
      #expect(bits == expected, "killed after row \(row): \(bits.difference(from: expected))")
    }

    @Test(
      "a signal to the launching script: checkpoint, exit 75, and the same command goes on",
      arguments: [1, 2], ["USR1", "TERM"])
    func leaves(_ ranks: Int, _ signal: String) throws {
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      let words = [Self.script, "\(ranks)", productPath("latentflow")] + (try command(run))
      let left = try interrupt(
        words, run: run, afterRows: Int.random(in: 12...60), "kill -s \(signal) $child")
      try #require(left.status == 75, "\(left)")
      #expect(left.errors.contains("interrupted: checkpoint of step"))
      #expect(left.errorLines.isEmpty, "\(left.errors)")
      // The checkpoint is of the last step that was done.
      let done = try #require(try metricRows(run).last?.first)
      #expect(left.errors.contains("checkpoint of step \(done) written"), "\(left.errors)")
      let resumed = try runProcess(
        "/usr/bin/env", words, environment: launchEnvironment, timeout: 60)
      #expect(
        resumed.status == 0 && resumed.stderr.contains("from step \(done)"), "\(resumed.stderr)")
      let bits = try TrainedBits(run: run, step: Self.steps)
      let expected = try Self.whole.bits
      #expect(bits == expected, "\(bits.difference(from: expected))")
    }

    /// Many signals, for a single one seldom comes while a kernel runs that has put the stack
    /// pointer to another use: a handler on that stack overwrites the heap.
    @Test("USR2: checkpoint and go on, however often it comes", arguments: [1, 2])
    func checkpoints(_ ranks: Int) throws {
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      let words =
        [Self.script, "\(ranks)", productPath("latentflow")]
        + (try command(run, ["checkpoint.every=1000", "checkpoint.keep=100"]))
      let shower = "for i in $(seq 10); do kill -s USR2 $child 2>/dev/null; sleep 0.03; done"
      let ended = try interrupt(words, run: run, afterRows: Int.random(in: 5...20), shower)
      try #require(ended.status == 0, "\(ended)")
      // None is due before the last step: the others were asked for.
      let names = try FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints")
      #expect((3...11).contains(names.count { $0.hasPrefix("step-") }), "\(names)")
      #expect(try TrainedBits(run: run, step: Self.steps) == Self.whole.bits)
    }

    @Test(
      "a damaged newest checkpoint is named and passed over, whichever of its files it is",
      arguments: [
        "model.safetensors", "ema.safetensors", "state-0000-of-0001.safetensors", "manifest.json",
      ], [1, 2])
    func damaged(_ file: String, _ ranks: Int) throws {
      let scratch = try Scratch()
      let run = try scratch.copy(try Self.whole.run)
      try damage("\(run)/checkpoints/step-\(String(format: "%08d", Self.steps))/\(file)")
      let resumed = try latentflow(try Workshop.shared.train(run) + Self.slow, ranks: ranks)
      #expect(resumed.status == 0 && resumed.errorLines.isEmpty, "\(resumed)")
      #expect(resumed.errors.contains("from step \(Self.steps - 10)"), "\(resumed.errors)")
      let warnings = resumed.errors.split(whereSeparator: \.isNewline).filter {
        $0.hasPrefix("warning: checkpoint step-00000100 is skipped") && $0.contains(file)
      }
      #expect(warnings.count == 1, "\(resumed.errors)")
      let bits = try TrainedBits(run: run, step: Self.steps)
      let expected = try Self.whole.bits
      #expect(bits == expected, "\(bits.difference(from: expected))")
    }

    @Test("an encoding that was killed goes on where it stopped", arguments: [1, 2])
    func encoding(_ ranks: Int) throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      // Three shards; hard links cost no room.
      let images = "\(scratch.path)/images"
      try FileManager.default.createDirectory(atPath: images, withIntermediateDirectories: true)
      for i in 0..<2400 {
        try FileManager.default.linkItem(
          atPath: "\(workshop.images)/images/\(String(format: "%06d", i % 96)).png",
          toPath: "\(images)/\(String(format: "%06d", i)).png")
      }
      let words = ["encode", images, "--identity", "--size", "32", "--flips"]
      let (whole, cache) = ("\(scratch.path)/whole", "\(scratch.path)/cache")
      try latentflow(words + ["--out", whole]).requireSuccess()
      let shell = """
        set -m
        cache=$1
        shift
        "$@" & child=$!
        trap 'kill -9 $child' TERM
        until [ -e "$cache/shard-00000.json" ] || [ -e "$cache/shard-00001.json" ]; do
          kill -0 $child 2>/dev/null || break
          sleep 0.002
        done
        kill -9 $child
        wait $child
        """
      let killed = try runProcess(
        "/usr/bin/env",
        ["bash", "-c", shell, "kill", cache]
          + launch(ranks, words + ["--out", cache, "--threads", "1"]),
        environment: launchEnvironment, timeout: 60)
      try #require(killed.status == 128 + SIGKILL, "\(killed)")
      try latentflow(words + ["--out", cache], ranks: ranks).requireSuccess()
      let (found, expected) = (try contents(of: cache), try contents(of: whole))
      #expect(expected.count == 7 && found == expected, "\(found.keys.sorted())")
    }
  }
}

/// Changes one bit in the middle of a file.
func damage(_ path: String) throws {
  var data = try Data(contentsOf: URL(fileURLWithPath: path))
  data[data.count / 2] ^= 1
  try data.write(to: URL(fileURLWithPath: path))
}
