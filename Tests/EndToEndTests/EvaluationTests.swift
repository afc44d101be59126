import FlowData
import Foundation
import TestSupport
import Testing

extension EndToEnd {
  /// Figures depend on what was asked for and on nothing else.
  @Suite(.serialized) struct Evaluation {
    /// Three items, the last of them short.
    static let count = 70
    static let judge = ["--features-of", Workshop.autoencoder]
    static let solver = ["--solver", "euler", "--steps", "2", "--seed", "5"]
    static let figures = ["--figures", "frechet,kid,precision-recall", "--kid-subset", "40"]

    /// `evaluate` of the shared run against the workshop's pictures; the report is
    /// `folder`/report.json, items lie in `folder`/evaluations.
    static func command(_ folder: String, _ more: [String] = []) throws -> [String] {
      [
        "evaluate", try Trained.run, "--count", "\(count)", "--out", "\(folder)/report.json",
        "--reference", try Workshop.shared.images, "--reference-size", "16",
      ] + judge + solver + figures + more
    }

    /// A report without what may differ from call to call.
    static func report(_ path: String) throws -> String {
      let volatile = ["\"date\"", "\"images_per_second\"", "\"ranks\"", "\"seconds\""]
      return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        .filter { line in !volatile.contains { line.contains($0) } }.joined(separator: "\n")
    }

    private static let made = Result {
      let scratch = try Scratch()
      try latentflow(try command(scratch.path)).requireSuccess()
      return (scratch, try report("\(scratch.path)/report.json"))
    }

    /// What one rank reports, and the folder with its items.
    static var expected: (scratch: Scratch, report: String) { get throws { try made.get() } }

    @Test("the same report, byte for byte, on any number of ranks")
    func ranks() throws {
      let expected = try Self.expected.report
      for name in ["Fréchet distance on", "kernel distance", "precision", "recall", "lower"] {
        #expect(expected.contains("\"\(name)"), "\(expected)")
      }
      for ranks in [2, 3, 4] {
        let scratch = try Scratch()
        try latentflow(try Self.command(scratch.path), ranks: ranks).requireSuccess()
        let found = try Self.report("\(scratch.path)/report.json")
        #expect(found == expected, "\(ranks) ranks")
      }
      // Another seed is another figure: the comparison can fail.
      let other = try Scratch()
      try latentflow(try Self.command(other.path, ["--seed", "6"])).requireSuccess()
      let otherReport = try Self.report("\(other.path)/report.json")
      #expect(figures(of: otherReport) != figures(of: expected))
    }

    private func figures(of report: String) -> Substring {
      report[..<(report.range(of: "\"provenance\"")?.lowerBound ?? report.endIndex)]
    }

    /// The folder of the samples' items: the one whose file holds most rows.
    private func itemFolder(_ folder: String) throws -> String {
      let items = "\(folder)/evaluations"
      let names = try FileManager.default.contentsOfDirectory(atPath: items)
      // Of the reference there are 96 rows in 3 items, of the samples 70.
      return try #require(
        names.map { "\(items)/\($0)" }.first { folder in
          let lines = (try? String(contentsOfFile: "\(folder)/items.txt", encoding: .utf8)) ?? ""
          return lines.split(separator: "\n").contains { $0.hasPrefix("2 6 ") }
        })
    }

    @Test("a damaged row is drawn again, and only its item")
    func damagedRow() throws {
      let (made, expected) = try Self.expected
      let scratch = try Scratch()
      _ = try scratch.copy("\(made.path)/evaluations")
      let folder = try itemFolder(scratch.path)
      // Two thirds into the file: item 1 has rows 32 to 63 of 70.
      let rows = URL(fileURLWithPath: "\(folder)/rows.bin")
      var data = try Data(contentsOf: rows)
      data[data.count * 2 / 3] ^= 1
      try data.write(to: rows)
      for (ranks, there) in [(2, 2), (1, 3)] {
        let ended = try latentflow(try Self.command(scratch.path), ranks: ranks).requireSuccess()
        #expect(ended.errors.contains("samples: \(there) of 3 items are there"), "\(ended)")
        #expect(try Self.report("\(scratch.path)/report.json") == expected)
      }
      let journal = try String(contentsOfFile: "\(folder)/items.txt", encoding: .utf8)
      #expect(
        journal.split(separator: "\n").map { $0.prefix(2) }.sorted() == ["0 ", "1 ", "1 ", "2 "])
    }

    /// Twelve items, slow enough to be hit in the middle; they lie in `folder`/work.
    private static func slow(_ folder: String) throws -> [String] {
      [
        "evaluate", try Trained.run, "--count", "\(32 * 12)", "--out", "\(folder)/report.json",
        "--reference", try statistics, "--work", "\(folder)/work",
      ] + judge + ["--solver", "rk4", "--steps", "8"]
    }

    private static let slowReport = Result {
      let scratch = try Scratch()
      try latentflow(try slow(scratch.path)).requireSuccess()
      return try report("\(scratch.path)/report.json")
    }

    @Test(
      "killed while it draws: finished items stay, and the report is that of a run never killed",
      arguments: [(1, "launcher"), (2, "rank 0"), (2, "launcher"), (3, "rank 0")])
    func killed(_ ranks: Int, _ victim: String) throws {
      let scratch = try Scratch()
      // A launcher starts rank 0 first; the journal's lock is rank 0's as long as it lives.
      let rankZero = "$(cut -d' ' -f1 /proc/$child/task/$child/children)"
      let shell = """
        set -m
        work=$1
        shift
        "$@" & child=$!
        trap 'kill -9 $child' TERM
        until [ "$(cat "$work"/*/items.txt 2>/dev/null | wc -l)" -ge 3 ]; do
          kill -0 $child 2>/dev/null || break
          sleep 0.002
        done
        kill -9 \(victim == "launcher" ? "$child" : rankZero)
        wait $child
        status=$?
        for journal in "$work"/*/items.txt; do flock "$journal" true; done
        exit $status
        """
      let killed = try runProcess(
        "/usr/bin/env",
        ["bash", "-c", shell, "kill", "\(scratch.path)/work"]
          + launch(ranks, try Self.slow(scratch.path) + ["--threads", "1"]),
        environment: launchEnvironment, timeout: 60)
      try #require(killed.status != 0, "\(killed)")
      if ranks == 1 || victim == "rank 0" {
        try #require(!FileManager.default.fileExists(atPath: "\(scratch.path)/report.json"))
      }
      let again = try latentflow(try Self.slow(scratch.path), ranks: ranks)
      #expect(again.status == 0 && again.errors.contains("of 12 items are there"), "\(again)")
      let work = "\(scratch.path)/work"
      let folder = try #require(try FileManager.default.contentsOfDirectory(atPath: work).first)
      let journal = try String(contentsOfFile: "\(work)/\(folder)/items.txt", encoding: .utf8)
      // No item was drawn twice, but for one whose line the kill may have torn.
      let lines = journal.split(separator: "\n").filter { $0.split(separator: " ").count == 3 }
      #expect((12...13).contains(lines.count), "\(journal)")
      #expect(try Self.report("\(scratch.path)/report.json") == Self.slowReport.get())
    }

    @Test("--pictures are those of `sample`, also of items that were there, and come back")
    func pictures() throws {
      let made = try Self.expected.scratch
      let scratch = try Scratch()
      _ = try scratch.copy("\(made.path)/evaluations")
      let (drawn, found) = ("\(scratch.path)/drawn", "\(scratch.path)/found")
      let draw = ["sample", try Trained.run, "--count", "\(Self.count)", "--out", drawn]
      try latentflow(draw + Self.solver).requireSuccess()
      func compare() throws {
        for index in 0..<Self.count {
          let name = String(format: "%06d.png", index)
          let expected = try ImageBuffer(contentsOf: "\(drawn)/\(name)")
          let picture = try ImageBuffer(contentsOf: "\(found)/\(name)")
          #expect(picture.width == 16 && picture.pixels.elementsEqual(expected.pixels), "\(name)")
        }
      }
      let words = try Self.command(scratch.path, ["--pictures", found])
      try latentflow(words, ranks: 2).requireSuccess()
      try compare()
      for index in [0, 40] {
        try FileManager.default.removeItem(
          atPath: "\(found)/\(String(format: "%06d.png", index))")
      }
      let ended = try latentflow(words, ranks: 2).requireSuccess()
      #expect(ended.errors.contains("samples: 1 of 3 items are there"), "\(ended)")
      try compare()
      #expect(try contents(of: found).count == Self.count)
      #expect(try Self.report("\(scratch.path)/report.json") == Self.expected.report)
      // Pictures of another evaluation are not mixed with them.
      let mixed = try latentflow(words + ["--seed", "6"])
      #expect(mixed.status == 64 && mixed.errors.contains("--pictures names"), "\(mixed)")
    }

    private static let moments = Result {
      let scratch = try Scratch()
      let path = "\(scratch.path)/stats.npz"
      try latentflow(
        ["statistics", try Workshop.shared.images, "--size", "16", "--out", path] + judge
      ).requireSuccess()
      return (scratch, path)
    }

    /// Stored statistics of the workshop's pictures.
    static var statistics: String { get throws { try moments.get().1 } }

    @Test("statistics have the same bytes on any number of ranks, and give the same distance")
    func statistics() throws {
      let expected = try Data(contentsOf: URL(fileURLWithPath: try Self.statistics))
      let scratch = try Scratch()
      for ranks in [2, 3, 4] {
        let path = "\(scratch.path)/stats-\(ranks).npz"
        try latentflow(
          ["statistics", try Workshop.shared.images, "--size", "16", "--out", path] + Self.judge,
          ranks: ranks
        ).requireSuccess()
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == expected, "\(ranks) ranks")
        #expect(!FileManager.default.fileExists(atPath: path + ".work"))
      }
      let file = try TensorFile.open(try Self.statistics)
      let dimension = try file.doubles("mu").count
      #expect(try dimension > 8 && file.doubles("sigma").count == dimension * dimension)
      let words = try Self.command(scratch.path, [
        "--figures", "frechet", "--reference", try Self.statistics,
      ])
      try latentflow(words, ranks: 2).requireSuccess()
      let values = try [Self.expected.report, Self.report("\(scratch.path)/report.json")].map {
        try #require($0.split(separator: "\n").first { $0.contains("\"standard_error\"") })
      }
      #expect(values[1] == values[0])
    }

    @Test("crops are judged under a name of their own, the same on any number of ranks")
    func patches() throws {
      // 1,120 and 1,536 rows: the ranks share two blocks of each set.
      var reports: [String] = []
      for ranks in [1, 2, 3] {
        let scratch = try Scratch()
        try latentflow(try Self.command(scratch.path, ["--patches", "8x16"]), ranks: ranks)
          .requireSuccess()
        reports.append(try Self.report("\(scratch.path)/report.json"))
        guard ranks == 1 else { continue }
        let other = try Self.expected.scratch.path
        let compared = try latentflow([
          "compare", "\(other)/report.json", "\(scratch.path)/report.json",
        ])
        #expect(compared.status == 65, "\(compared)")
        #expect(compared.errors.contains("patches: none | 16 of 8×8 from each picture"))
      }
      #expect(reports[1] == reports[0] && reports[2] == reports[0])
      #expect(reports[0].contains("\"patch-Fréchet") && reports[0].contains("\"patch-recall\""))
      #expect(reports[0].contains("\"count\" : \(Self.count)"))
    }

    @Test("reports that were made alike are compared; others are refused, and the reason named")
    func compare() throws {
      let first = "\(try Self.expected.scratch.path)/report.json"
      let scratch = try Scratch()
      try latentflow(try Self.command(scratch.path, ["--steps", "3", "--kid-subset", "20"]))
        .requireSuccess()
      let second = "\(scratch.path)/report.json"
      let refused = try latentflow(["compare", first, second])
      #expect(refused.status == 65 && refused.errorLines.count == 1, "\(refused)")
      for reason in [
        "solver: euler, 2 steps | euler, 3 steps", "kernel distance: 100 subsets of 40",
      ] {
        #expect(refused.errors.contains(reason), "\(refused)")
      }
      #expect(!refused.errors.contains("seed:") && !refused.errors.contains("recall:"))
      let half = try latentflow(["compare", first, second, "--vary", "solver"])
      #expect(half.status == 65 && !half.errors.contains("solver: "), "\(half)")
      let allowed = try latentflow(["compare", first, second, "--vary", "solver,settings"])
      #expect(allowed.status == 0 && allowed.output.contains("recall"), "\(allowed)")
      let same = try latentflow(["compare", first, first]).requireSuccess()
      #expect(same.output.contains("intervals overlap"))
      let unknown = try latentflow(["compare", first, second, "--vary", "solvr"])
      #expect(unknown.status == 64 && unknown.errors.contains("did you mean solver?"))
    }
  }
}
