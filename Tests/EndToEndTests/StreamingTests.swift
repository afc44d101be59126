import Foundation
import TestSupport
import Testing

extension EndToEnd {
  /// Training on pictures that no cache holds.
  @Suite(.serialized) struct Streaming {
    private static let pictures = "shapes:40@64#1"

    private static let stage = [
      "first_stage.kind=autoencoder", "first_stage.path=\(Workshop.autoencoder)", "data.flip=0.5",
      "training.steps=12",
    ]

    /// What training on a cache of the pictures comes to.
    private static let cached = Result {
      let scratch = try Scratch()
      let cache = "\(scratch.path)/cache"
      try latentflow([
        "encode", pictures, "--size", "32", "--flips", "--autoencoder", Workshop.autoencoder,
        "--out", cache,
      ]).requireSuccess()
      let run = "\(scratch.path)/run"
      try latentflow(
        try Workshop.shared.train(run) + stage + ["data.cache=\(cache)"]
      ).requireSuccess()
      return try TrainedBits(run: run, step: 12)
    }

    /// Ranks, placement, pictures decoded ahead, decoding threads.
    typealias Way = (ranks: Int, placement: String, prefetch: Int, decoders: Int)

    @Test(
      "without a cache: the parameters of training on one, whoever decodes and how far ahead",
      arguments: [
        (1, "local", 64, 1), (1, "scatter", 0, 2), (2, "local", 0, 1), (2, "scatter", 100, 3),
        (4, "local", 16, 2),
      ] as [Way])
    func equal(_ way: Way) throws {
      let expected = try Self.cached.get()
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      try latentflow(
        try Workshop.shared.train(run) + Self.stage + [
          "data.cache=null", "data.images=\(Self.pictures)", "data.size=32",
          "data.placement=\(way.placement)", "data.prefetch=\(way.prefetch)",
          "data.decoders=\(way.decoders)",
        ], ranks: way.ranks
      ).requireSuccess()
      let found = try TrainedBits(run: run, step: 12)
      #expect(expected.metrics.count == 12)
      #expect(found == expected, "\(found.difference(from: expected))")
    }

    @Test("a run on pictures that was left resumes, and debug step finds its steps again")
    func resume() throws {
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      let words = try Workshop.shared.train(run) + Self.stage + [
        "data.cache=null", "data.images=\(Self.pictures)", "data.size=32",
      ]
      let left = try latentflow(words + ["--stop-at", "7"], ranks: 2)
      try #require(left.status == 75, "\(left)")
      try latentflow(words).requireSuccess()
      #expect(try TrainedBits(run: run, step: 12) == Self.cached.get())
      try latentflow(["debug", "step", "--run", run, "--step", "9"]).requireSuccess()
    }

    @Test(
      "a picture that breaks while training: one message that names it, on every rank",
      arguments: [1, 2], ["local", "scatter"])
    func broken(_ ranks: Int, _ placement: String) throws {
      let scratch = try Scratch()
      let images = try scratch.copy(try Workshop.shared.images) + "/images"
      let victim = "\(images)/000050.png"
      try Data(contentsOf: URL(fileURLWithPath: victim)).prefix(200)
        .write(to: URL(fileURLWithPath: victim))
      func words(_ run: String) throws -> [String] {
        try Workshop.shared.train(
          "\(scratch.path)/\(run)", "data.cache=null", "data.images=\(images)", "data.size=16",
          "model.classes=0", "model.label_dropout=0", "data.placement=\(placement)")
      }
      let run = try latentflow(words("strict"), ranks: ranks)
      #expect(run.status == 65 && run.errorLines.count == 1, "\(run)")
      #expect(run.errorLines.first?.contains("000050.png") == true, "\(run)")
      guard placement == "local" else { return }
      let skipped = try latentflow(words("skip") + ["data.broken=skip"], ranks: ranks)
        .requireSuccess()
      #expect(skipped.errors.contains("1 of 96 pictures are broken"), "\(skipped)")
    }
  }
}
