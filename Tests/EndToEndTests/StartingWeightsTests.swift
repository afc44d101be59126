import Foundation
import Testing

extension EndToEnd {
  /// `train --weights-only`.
  @Suite(.serialized) struct StartingWeights {
    private func train(_ run: String, _ more: [String]) throws -> Outcome {
      try latentflow(
        Workshop.shared.train(run, "checkpoint.every=0", "training.steps=1") + more)
    }

    @Test("a run begins with the parameters of another, on any number of ranks")
    func begins() throws {
      let scratch = try Scratch()
      let first = "\(scratch.path)/first"
      try latentflow(Workshop.shared.train(first, "training.steps=3")).requireSuccess()
      let (one, two) = ("\(scratch.path)/one", "\(scratch.path)/two")
      let outcome = try train(one, ["--weights-only", first, "seed=9"]).requireSuccess()
      #expect(outcome.errors.contains("tensors read"), "\(outcome)")
      try latentflow(
        Workshop.shared.train(
          two, "checkpoint.every=0", "training.steps=1", "--weights-only", first, "seed=9"),
        ranks: 2
      ).requireSuccess()
      #expect(try TrainedBits(run: one, step: 1) == TrainedBits(run: two, step: 1))
      let drawn = "\(scratch.path)/drawn"
      try train(drawn, ["seed=9"]).requireSuccess()
      #expect(try metricRows(drawn)[0][1] != metricRows(one)[0][1])
    }

    @Test("parameters that do not fit are refused, or left out with --non-strict")
    func nonStrict() throws {
      let scratch = try Scratch()
      let first = "\(scratch.path)/first"
      try train(first, []).requireSuccess()
      let strict = try train(
        "\(scratch.path)/a", ["--weights-only", first, "model.depth=3", "model.classes=20"])
      #expect(strict.status == 65, "\(strict)")
      #expect(strict.errors.contains("missing, 1 of another shape"), "\(strict)")
      #expect(strict.errors.contains("y_embedder.embedding_table.weight"))
      let loose = try train(
        "\(scratch.path)/b",
        ["--weights-only", first, "--non-strict", "model.depth=3"]
      ).requireSuccess()
      #expect(loose.errors.contains("blocks.2.attn.qkv.weight"), "\(loose)")
      let alone = try train("\(scratch.path)/c", ["--non-strict"])
      #expect(alone.status == 64 && alone.errors.contains("--weights-only"))
    }
  }
}
