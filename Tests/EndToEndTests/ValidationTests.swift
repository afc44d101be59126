import FlowData
import Foundation
import Testing

extension EndToEnd {
  /// Training on pairs of small and large pictures, and its validation.
  @Suite(.serialized) struct Validation {
    private static let text = """
      seed: 3
      model:
        { kind: efficient_unet, channels: 32, multipliers: [1], blocks: 1, attention_factors: [],
          heads: 1, head_width: 16, context_channels: 3 }
      first_stage: { kind: identity }
      data: { flip: 0.5 }
      coupling:
        { kind: upsampling, low_size: 16, upsampling: bicubic, context: bicubic, noising_step: 100 }
      path: { kind: linear }
      training: { steps: 10, micro_batch: 2, micro_batches: 4 }
      ema: { decay: 0.9 }
      checkpoint: { every: 5 }
      log: { every: 1, tensorboard: false }
      """
    private static let pictures = "shapes:40@32#1"

    private func words(_ run: String, _ more: [String]) throws -> [String] {
      let config = "\(run).yaml"
      try Self.text.write(toFile: config, atomically: true, encoding: .utf8)
      return ["train", config, "--run", run] + more
    }

    private func train(_ run: String, _ more: [String], ranks: Int = 1) throws -> TrainedBits {
      try latentflow(words(run, more), ranks: ranks).requireSuccess()
      return try TrainedBits(run: run, step: 10)
    }

    /// The figures of the validations that a run's events tell of.
    private func figures(_ run: String) throws -> [NSDictionary] {
      let text = try String(contentsOfFile: "\(run)/events.jsonl", encoding: .utf8)
      return try text.split(whereSeparator: \.isNewline).compactMap { line in
        var event = try #require(
          try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        guard event["kind"] as? String == "validation" else { return nil }
        event["time"] = nil
        return event as NSDictionary
      }
    }

    @Test("pairs of a cache and of pictures that are made small as they come: the same bits")
    func pairs() throws {
      let scratch = try Scratch()
      let cache = "\(scratch.path)/cache"
      try latentflow([
        "encode", Self.pictures, "--flips", "--identity", "--low-res", "16", "--out", cache,
      ]).requireSuccess()
      let streamed = ["data.cache=null", "data.images=\(Self.pictures)"]
      let expected = try train("\(scratch.path)/expected", ["data.cache=\(cache)"])
      for (name, ranks, more) in [
        ("cache-scatter", 2, ["data.cache=\(cache)", "data.placement=scatter"]),
        ("streamed", 1, streamed),
        ("streamed-scatter", 4, streamed + ["data.placement=scatter"]),
      ] {
        let found = try train("\(scratch.path)/\(name)", more, ranks: ranks)
        #expect(found == expected, "\(name): \(found.difference(from: expected))")
      }
    }

    @Test("validation leaves the bits of the training, and is the same on 1 and 2 ranks")
    func validation() throws {
      let scratch = try Scratch()
      let data = ["data.cache=null", "data.images=\(Self.pictures)"]
      let watched = data + [
        "validation.every=5", "validation.images=shapes:20@32#2", "validation.count=18",
        "validation.steps=3", "validation.patch_size=16",
        "validation.features.path=\(Workshop.autoencoder)", "log.tensorboard=true",
      ]
      let expected = try train("\(scratch.path)/plain", data)
      var found: [[NSDictionary]] = []
      for ranks in [1, 2] {
        let run = "\(scratch.path)/\(ranks)"
        let bits = try train(run, watched, ranks: ranks)
        #expect(bits == expected, "\(ranks) ranks: \(bits.difference(from: expected))")
        found.append(try figures(run))
        #expect(
          FileManager.default.fileExists(atPath: "\(run)/samples/validation-00000010.png"))
      }
      #expect(found[0].count == 2 && found[0] == found[1], "\(found)")
      #expect(found[0][0] != found[0][1])
      try sameAsCommand("\(scratch.path)/1", try #require(found[0].last))
    }

    /// `latentflow validate` on the last checkpoint finds what training did.
    private func sameAsCommand(_ run: String, _ event: NSDictionary) throws {
      var reports: [String] = []
      for ranks in [1, 2] {
        reports.append(
          try latentflow(
            [
              "validate", run, "--images", "shapes:20@32#2", "--count", "18", "--solver", "euler",
              "--steps", "3", "--seed", "3", "--patches", "16x4", "--features-of",
              Workshop.autoencoder, "--json",
            ], ranks: ranks
          ).requireSuccess().output)
      }
      #expect(reports[0] == reports[1])
      let report = try #require(
        try JSONSerialization.jsonObject(with: Data(reports[0].utf8)) as? [String: Any])
      let model = try #require(report["model"] as? [String: Double])
      for (name, key) in [
        ("psnr", "peak_signal_to_noise"), ("ssim", "structural_similarity"),
        ("mse", "mean_squared_error"), ("sharpness", "sharpness"),
      ] {
        let (a, b) = (try #require(event[name] as? Double), try #require(model[key]))
        #expect(abs(a / b - 1) < 1e-12, "\(name): \(a) while training, \(b) after")
      }
      let bicubic = try #require(report["bicubic"] as? [String: Double])
      let error = try #require(bicubic["mean_squared_error"])
      let expected = try bicubicError(count: 18)
      #expect(abs(error / expected - 1) < 1e-5, "\(error), expected \(expected)")
      let trained = try latentflow([
        "validate", run, "--images", "shapes:20@32#2", "--count", "18", "--solver", "euler",
        "--steps", "3", "--seed", "3", "--no-ema", "--json",
      ]).requireSuccess()
      let other = try #require(
        try JSONSerialization.jsonObject(with: Data(trained.output.utf8)) as? [String: Any])
      #expect(other["model"] as? [String: Double] != model)
      #expect(other["bicubic"] as? [String: Double] == bicubic)
    }

    /// Mean squared error of the first held-out pictures, made small and large again.
    private func bicubicError(count: Int) -> Double {
      let set = ShapesDataset(size: 32, seed: 2, count: 20)
      let errors = (0..<count).map { i -> Double in
        let real = set.image(i)
        let found = real.resized(width: 16, height: 16, .bicubic)
          .resized(width: 32, height: 32, .bicubic)
        return zip(found.pixels, real.pixels).reduce(0) { sum, pair in
          let difference = (Double(pair.0) - Double(pair.1)) / 255
          return sum + difference * difference
        } / Double(real.pixels.count)
      }
      return errors.reduce(0, +) / Double(count)
    }

    @Test(
      "what does not fit is refused with the field to change",
      arguments: [
        (["model.context_channels=0"], "model.context_channels"),
        (["coupling.low_size=null"], "coupling.low_size"),
        (["coupling.upsampling=identity"], "coupling.upsampling"),
        (["coupling.transport_group=3"], "coupling.transport_group"),
        (["samples.every=5"], "coupling.kind"),
        (["coupling.noising_step=1000"], "coupling.noising_step"),
        (["validation.every=5"], "validation.images"),
      ])
    func refused(_ more: [String], _ field: String) throws {
      let scratch = try Scratch()
      let run = try latentflow(
        words(
          "\(scratch.path)/run", ["data.cache=null", "data.images=\(Self.pictures)"] + more),
        ranks: 2)
      #expect(run.status == 78 && run.errorLines.count == 1, "\(run)")
      #expect(run.errorLines.first?.contains(field) == true, "\(run)")
    }
  }
}
