import FlowData
import Foundation
import TestSupport
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Sweeps {
    private static let judge = Evaluation.judge + ["--reference-size", "16", "--seed", "5"]

    private struct Row: Decodable, Equatable {
      var solver: String
      var setting: String
      var guidance: Float
      var distance: Double
      var evaluations_mean: Double
      var images_per_second: Double
    }

    private struct Report: Decodable {
      var rows: [Row]
    }

    private func rows(_ folder: String) throws -> [Row] {
      let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/sweep.json"))
      return try JSONDecoder().decode(Report.self, from: data).rows
    }

    private func command(_ out: String, _ solvers: String) throws -> [String] {
      [
        "sweep", try Trained.run, "--solvers", solvers, "--steps", "2,4", "--tolerances", "1e-1",
        "--guidance", "1,2", "--count", "40", "--out", out,
        "--reference", try Workshop.shared.images,
      ] + Self.judge
    }

    @Test("a row for every combination, the same on any number of ranks; rows that are there stay")
    func table() throws {
      let scratch = try Scratch()
      var tables: [[Row]] = []
      for ranks in [1, 3] {
        let out = "\(scratch.path)/\(ranks)"
        let ended = try latentflow(try command(out, "euler,dopri5"), ranks: ranks).requireSuccess()
        #expect(ended.output.contains("distance") && ended.output.contains("tolerance 0.1"))
        #expect(!FileManager.default.fileExists(atPath: "\(out)/work"))
        let plot = try ImageBuffer(contentsOf: "\(out)/sweep.png")
        #expect(Set(plot.pixels).count > 4 && plot.width > 400)
        tables.append(try rows(out))
      }
      #expect(tables[0].map(\.setting).prefix(3) == ["2 steps", "4 steps", "tolerance 0.1"])
      #expect(tables[0].map(\.guidance) == [1, 1, 1, 2, 2, 2])
      #expect(tables[0].map(\.evaluations_mean).prefix(2) == [2, 4])
      #expect(tables[0].allSatisfy { $0.images_per_second > 0 && $0.distance > 0 })
      #expect(Set(tables[0].map(\.distance)).count == 6)
      #expect(tables[1].map(\.distance) == tables[0].map(\.distance))
      // A solver more: rows that are there keep even the speed that was measured then.
      let out = "\(scratch.path)/1"
      try latentflow(try command(out, "euler,heun,dopri5")).requireSuccess()
      let more = try rows(out)
      #expect(more.count == 10 && more.filter { $0.solver != "heun" } == tables[0])
      #expect(more.filter { $0.solver == "heun" }.map(\.evaluations_mean) == [4, 8, 4, 8])
      // The distance is that of `evaluate`.
      let report = "\(scratch.path)/report.json"
      try latentflow(
        [
          "evaluate", try Trained.run, "--count", "40", "--solver", "euler", "--steps", "4",
          "--cfg", "2", "--reference", try Workshop.shared.images, "--out", report,
        ] + Self.judge
      ).requireSuccess()
      let text = try String(contentsOfFile: report, encoding: .utf8)
      #expect(text.contains("\"value\" : \(tables[0][4].distance)"), "\(text)")
    }

    @Test("--nfe counts evaluations, --time times them", arguments: [1, 2])
    func speed(_ ranks: Int) throws {
      struct Found: Decodable {
        struct Time: Decodable {
          var seconds_per_image, deviation, images_per_second: Double
          var trials, warmup, batch: Int
        }
        struct Evaluations: Decodable {
          var mean: Double
          var least, most, count: Int
        }
        var time: Time?
        var evaluations: Evaluations?
      }
      func measure(_ more: String...) throws -> Found {
        let words = ["evaluate", try Trained.run, "--json"] + more
        let output = try latentflow(words, ranks: ranks).requireSuccess().output
        return try JSONDecoder().decode(Found.self, from: Data(output.utf8))
      }
      let fixed = try measure("--nfe", "--count", "40", "--solver", "heun", "--steps", "3")
      let evaluations = try #require(fixed.evaluations)
      #expect(fixed.time == nil && evaluations.count == 40)
      #expect(evaluations.mean == 6 && evaluations.least == 6 && evaluations.most == 6)
      let both = try measure(
        "--nfe", "--count", "40", "--time", "--trials", "3", "--warmup", "1", "--batch", "4")
      let adaptive = try #require(both.evaluations)
      #expect(Double(adaptive.least) <= adaptive.mean && adaptive.mean <= Double(adaptive.most))
      // As many as `sample` counts with the same solver.
      let scratch = try Scratch()
      let drawn = try latentflow(
        [
          "sample", try Trained.run, "--count", "40", "--grid", "\(scratch.path)/grid.png",
          "--json",
        ]).requireSuccess()
      struct Record: Decodable { var evaluations_mean: Double }
      let record = try JSONDecoder().decode(Record.self, from: Data(drawn.output.utf8))
      #expect(adaptive.mean == record.evaluations_mean && adaptive.mean > 6)
      let time = try #require(both.time)
      #expect((time.trials, time.warmup, time.batch) == (3, 1, 4))
      #expect(time.seconds_per_image > 0 && time.deviation > 0)
      #expect(
        abs(time.images_per_second * time.seconds_per_image - Double(ranks)) < 1e-9)
    }

    @Test("--npz holds the pixels and labels of --out")
    func batch() throws {
      let scratch = try Scratch()
      let (out, npz) = ("\(scratch.path)/out", "\(scratch.path)/batch.npz")
      let words = ["sample", try Trained.run, "--count", "40", "--out", out, "--npz", npz]
      try latentflow(words + Evaluation.solver, ranks: 2).requireSuccess()
      let file = try TensorFile.open(npz)
      #expect(try file.shape("arr_0") == [40, 16, 16, 3] && file.shape("arr_1") == [40])
      let levels = try file.doubles("arr_0").map { UInt8($0) }
      let labels = try String(contentsOfFile: "\(out)/labels.csv", encoding: .utf8)
        .split(separator: "\n").dropFirst().map { $0.split(separator: ",") }
      let stored = try file.doubles("arr_1").map { Int($0) }
      #expect(stored == labels.compactMap { Int($0[1]) } && Set(stored).count > 4)
      for (i, row) in labels.enumerated() {
        let picture = try ImageBuffer(contentsOf: "\(out)/\(row[0])")
        #expect(picture.pixels.elementsEqual(levels[i * 768..<(i + 1) * 768]), "\(row[0])")
      }
    }
  }
}
