import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct TrainingEvaluation {
    private let settings = [
      "evaluation.every=10", "evaluation.count=40", "evaluation.reference_size=16",
      "evaluation.features.path=\(Workshop.autoencoder)", "evaluation.steps=2",
      "evaluation.guidance=1.5", "log.tensorboard=true",
    ]

    /// Steps and values of the evaluations that a run's events tell of.
    private func figures(_ run: String) throws -> [String] {
      let text = try String(contentsOfFile: "\(run)/events.jsonl", encoding: .utf8)
      return try text.split(whereSeparator: \.isNewline).compactMap { line in
        let event = try #require(
          try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        guard event["kind"] as? String == "evaluation" else { return nil }
        return "\(event["step"] ?? "") \(event["figure"] ?? "") \(event["value"] ?? "")"
      }
    }

    @Test("leaves the bits of the training; one figure on 1 and 2 ranks, that of `evaluate`")
    func bits() throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let settings = settings + ["evaluation.reference=\(workshop.images)"]
      let plain = "\(scratch.path)/plain"
      try latentflow(workshop.train(plain)).requireSuccess()
      let expected = try TrainedBits(run: plain, step: 20)
      var found: [[String]] = []
      for ranks in [1, 2] {
        let run = "\(scratch.path)/\(ranks)"
        try latentflow(workshop.train(run) + settings, ranks: ranks).requireSuccess()
        let bits = try TrainedBits(run: run, step: 20)
        #expect(bits == expected, "\(ranks) ranks: \(bits.difference(from: expected))")
        found.append(try figures(run))
        let grid = "\(run)/samples/evaluation-00000020.png"
        #expect(FileManager.default.fileExists(atPath: grid))
      }
      #expect(found[0].count == 2 && Set(found[0]).count == 2, "\(found[0])")
      #expect(found[0][1].hasPrefix("20 Fréchet distance on autoencoder features "))
      #expect(found[1] == found[0])
      // The running average's figure, as a command of its own computes it.
      let last = try #require(found[0][1].split(separator: " ").last.flatMap { Double($0) })
      #expect(abs(try evaluate("\(scratch.path)/1", workshop) / last - 1) < 1e-9)
      let trained = try evaluate("\(scratch.path)/1", workshop, "--no-ema")
      #expect(abs(trained / last - 1) > 1e-6)
    }

    private func evaluate(
      _ run: String, _ workshop: Workshop, _ more: String...
    ) throws -> Double {
      let report = "\(run)/report-\(more.count).json"
      try latentflow(
        [
          "evaluate", run, "--count", "40", "--reference", workshop.images, "--reference-size",
          "16", "--features-of", Workshop.autoencoder, "--solver", "euler", "--steps", "2",
          "--cfg", "1.5", "--seed", "3", "--out", report,
        ] + more
      ).requireSuccess()
      let data = try Data(contentsOf: URL(fileURLWithPath: report))
      let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
      let figures = try #require(object["figures"] as? [String: [String: Any]])
      return try #require(figures.values.first?["value"] as? Double)
    }

    @Test("a step that was left between checkpoint and evaluation is judged on resuming")
    func resumed() throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let settings = settings + ["evaluation.reference=\(workshop.images)"]
      let (whole, parts) = ("\(scratch.path)/whole", "\(scratch.path)/parts")
      try latentflow(workshop.train(whole) + settings).requireSuccess()
      let stopped = try latentflow(workshop.train(parts, "--stop-at", "10") + settings)
      #expect(stopped.status == 75)
      #expect(try figures(parts).isEmpty)
      try latentflow(workshop.train(parts) + settings, ranks: 2).requireSuccess()
      #expect(try figures(parts) == figures(whole))
    }

    @Test("a reference that is no good ends the command before a run begins")
    func reference() throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      let other = "\(scratch.path)/statistics.npz"
      // Of nothing: no arrays mu and sigma.
      try Data("not an archive".utf8).write(to: URL(fileURLWithPath: other))
      let bad = try latentflow(
        workshop.train(run) + settings + ["evaluation.reference=\(other)"], ranks: 2)
      #expect(bad.status == 65 && bad.errorLines.count == 1, "\(bad)")
      let missing = try latentflow(workshop.train(run) + settings)
      #expect(missing.status == 78 && missing.errors.contains("evaluation.reference"))
      #expect(!FileManager.default.fileExists(atPath: "\(run)/config.yaml"))
    }

    @Test("strips and the bound are the same on 1 and 2 ranks")
    func strips() throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      try latentflow(workshop.train(run)).requireSuccess()
      var files: [[Data]] = []
      var reports: [String] = []
      for ranks in [1, 2] {
        let names = ["strip", "way"].map { "\(scratch.path)/\($0)-\(ranks).png" }
        try latentflow(
          [
            "sample", run, "--count", "2", "--interpolate", "0,1", "--interpolate", "2,3",
            "--frames", "4", "--strip", names[0], "--trajectory", names[1], "--states", "3",
            "--solver", "euler", "--steps", "4",
          ], ranks: ranks
        ).requireSuccess()
        files.append(try names.map { try Data(contentsOf: URL(fileURLWithPath: $0)) })
        reports.append(
          try latentflow(
            [
              "bound", run, "--images", workshop.images, "--count", "20", "--points", "3",
              "--stretches", "2", "--iterations", "4", "--json",
            ], ranks: ranks
          ).requireSuccess().output)
      }
      #expect(files[0] == files[1] && files[0][0] != files[0][1])
      #expect(reports[0] == reports[1])
      let report = try #require(
        try JSONSerialization.jsonObject(with: Data(reports[0].utf8)) as? [String: Any])
      let measured = try #require(report["measured"] as? Double)
      let bound = try #require(report["log10_over_time"] as? Double)
      #expect(measured > 0 && bound >= log10(measured), "\(reports[0])")
      #expect(report["reconstruction"] as? Double == 0)
    }
  }
}
