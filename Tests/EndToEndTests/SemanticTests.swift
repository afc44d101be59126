import FlowData
import FlowTensor
import Foundation
import Testing

extension EndToEnd {
  /// Drawing after label maps: the maps of the shapes, a tiny network, a few steps.
  @Suite(.serialized) struct Semantic {
    private static let pictures = "shapes:40@64#1"
    private static let network = [
      "model.classes=0", "model.label_dropout=0", "model.context_channels=2", "semantic.classes=17",
      "first_stage.kind=autoencoder", "first_stage.path=\(Workshop.autoencoder)", "data.flip=0.5",
      "training.steps=4", "checkpoint.every=1",
    ]

    /// A cache with maps, and a run on it.
    private static let made = Result {
      let scratch = try Scratch()
      let cache = "\(scratch.path)/cache"
      try latentflow([
        "encode", pictures, "--masks", "--flips", "--autoencoder", Workshop.autoencoder,
        "--out", cache,
      ]).requireSuccess()
      let run = "\(scratch.path)/run"
      try latentflow(
        try Workshop.shared.train(run) + network + ["data.cache=\(cache)"]
      ).requireSuccess()
      return (scratch: scratch, cache: cache, run: run)
    }
    static var run: String { get throws { try made.get().run } }
    static var cache: String { get throws { try made.get().cache } }

    private func weights(_ run: String, step: Int, _ name: String) throws -> [Float] {
      let file = "\(run)/checkpoints/step-0000000\(step)/model.safetensors"
      return try SafetensorsFile(file).tensor(name).values
    }

    /// Ranks, placement, and whether pictures are read in place of a cache.
    typealias Way = (ranks: Int, placement: String, streams: Bool)

    @Test(
      "the same parameters, bit for bit, from a cache and from pictures, on any number of ranks",
      arguments: [
        (1, "local", true), (2, "local", false), (2, "scatter", false), (2, "scatter", true),
        (4, "local", true),
      ] as [Way])
    func training(_ way: Way) throws {
      let expected = try TrainedBits(run: Self.run, step: 4)
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      let data =
        way.streams
        ? ["data.cache=null", "data.images=\(Self.pictures)"] : ["data.cache=\(try Self.cache)"]
      try latentflow(
        try Workshop.shared.train(run) + Self.network + data
          + ["data.placement=\(way.placement)"], ranks: way.ranks
      ).requireSuccess()
      let found = try TrainedBits(run: run, step: 4)
      #expect(found == expected, "\(found.difference(from: expected))")
    }

    @Test("the rescaler learns, and the map makes a difference")
    func rescaler() throws {
      let name = "rescaler.channel_mapper.weight"
      let first = try weights(Self.run, step: 1, name)
      let last = try weights(Self.run, step: 4, name)
      #expect(first.count == 34)
      // The weights of the ground, and of every class that has been seen, have moved.
      let moved = first.indices.filter { first[$0] != last[$0] }
      #expect(moved.count > 20 && moved.contains(0) && moved.contains(17), "\(moved)")
      // Without flips the maps of half the samples are others, and so is the loss.
      let scratch = try Scratch()
      let plain = "\(scratch.path)/run"
      try latentflow(
        try Workshop.shared.train(plain) + Self.network
          + ["data.cache=\(try Self.cache)", "data.flip=0", "training.steps=1"]
      ).requireSuccess()
      #expect(try metricRows(plain)[0][1] != metricRows(Self.run)[0][1])
      let inspected = try latentflow(["inspect", try Self.run]).requireSuccess()
      #expect(inspected.output.contains("a context of 2 channels"), "\(inspected)")
    }

    @Test("pictures after given maps are the same on any number of ranks and for any count")
    func synthesis() throws {
      let scratch = try Scratch()
      func draw(_ ranks: Int, count: Int, seed: Int = 5) throws -> [String: Data] {
        let out = "\(scratch.path)/\(ranks)-\(count)-\(seed)"
        let words = [
          "synthesize", try Self.run, "--maps", "shapes:40@64#2", "--count", "\(count)", "--seed",
          "\(seed)", "--solver", "heun", "--steps", "3", "--out", out,
        ]
        try latentflow(words, ranks: ranks).requireSuccess()
        return try contents(of: out).filter { $0.key != "synthesis.json" }
      }
      let expected = try draw(1, count: 40)
      #expect(expected.count == 40)
      for ranks in [2, 3] { #expect(try draw(ranks, count: 40) == expected, "\(ranks) ranks") }
      let few = try draw(2, count: 3)
      #expect(few.count == 3)
      for (name, data) in few { #expect(expected[name] == data, "\(name)") }
      #expect(try draw(1, count: 3, seed: 6)["000000.png"] != few["000000.png"])
    }

    @Test("maps alone, without pictures, give the same results; a grid and a judgement")
    func mapsAlone() throws {
      let scratch = try Scratch()
      let set = "\(scratch.path)/set"
      try latentflow(["dataset", "shapes", "--out", set, "--count", "5", "--size", "64"])
        .requireSuccess()
      func draw(_ maps: String, _ more: String...) throws -> (Outcome, [String: Data]) {
        let out = "\(scratch.path)/out-\((maps as NSString).lastPathComponent)"
        let words = [
          "synthesize", try Self.run, "--maps", maps, "--solver", "euler", "--steps", "2", "--out",
          out, "--judge", "--json",
        ]
        let outcome = try latentflow(words + more).requireSuccess()
        let folder = maps == set ? "\(out)/images" : out
        return (outcome, try contents(of: folder).filter { $0.key.hasSuffix(".png") })
      }
      let grid = "\(scratch.path)/grid.png"
      let (pictured, results) = try draw(set, "--grid", grid, "--grid-count", "3")
      let (_, alone) = try draw("\(set)/masks")
      #expect(results.count == 5 && results == alone)
      // The maps but for the first in another order, with the same noise: other results of these.
      let turned = "\(scratch.path)/turned"
      try FileManager.default.createDirectory(atPath: turned, withIntermediateDirectories: true)
      for i in 0..<5 {
        try FileManager.default.copyItem(
          atPath: "\(set)/masks/00000\(i == 0 ? 0 : i % 4 + 1).png", toPath: "\(turned)/00000\(i).png")
      }
      let (_, others) = try draw(turned)
      #expect(others.keys == results.keys)
      for (name, data) in others {
        #expect((results[name] == data) == (name == "000000.png"), "\(name)")
      }
      let image = try ImageBuffer(contentsOf: grid)
      #expect(image.width > 3 * 96 && image.height > 3 * 96)
      let report = try #require(
        try JSONSerialization.jsonObject(with: Data(pictured.output.utf8)) as? [String: Any])
      let judgement = try #require(report["judgement"] as? [String: [String: Double]])
      let originals = try #require(judgement["originals"]?["agreement"])
      let drawn = try #require(judgement["results"]?["agreement"])
      #expect(originals > 0.95 && drawn < 0.5, "\(judgement)")
    }

    @Test("a run begins as the unconditional one that its weights are of", arguments: [1, 2])
    func widening(_ ranks: Int) throws {
      let scratch = try Scratch()
      let (narrow, wide) = ("\(scratch.path)/narrow", "\(scratch.path)/wide")
      let unconditional = Self.network.filter {
        !$0.hasPrefix("semantic") && !$0.hasPrefix("model.context")
      }
      try latentflow(
        try Workshop.shared.train(narrow) + unconditional + ["data.cache=\(try Self.cache)"]
      ).requireSuccess()
      let outcome = try latentflow(
        try Workshop.shared.train(wide) + Self.network + [
          "data.cache=\(try Self.cache)", "training.steps=1", "optimizer.lr=1e-12",
          "--weights-only", narrow,
        ], ranks: ranks
      ).requireSuccess()
      #expect(outcome.errors.contains("x_embedder.proj.weight: 4 of 6 input channels read"))
      #expect(outcome.errors.contains("rescaler.channel_mapper.weight: drawn as new"))
      // A learning rate that moves nothing by more than round-off: everything is as it was.
      let (old, new) = (
        try SafetensorsFile("\(narrow)/checkpoints/step-00000004/model.safetensors"),
        try SafetensorsFile("\(wide)/checkpoints/step-00000001/model.safetensors")
      )
      let average = try SafetensorsFile("\(wide)/checkpoints/step-00000001/ema.safetensors")
      for name in old.names where name != "x_embedder.proj.weight" {
        for file in [new, average] {
          let pairs = zip(try old.tensor(name).values, try file.tensor(name).values)
          #expect(pairs.allSatisfy { abs($0 - $1) < 1e-9 }, "\(name)")
        }
      }
      let (before, after) = (
        try old.tensor("x_embedder.proj.weight"), try new.tensor("x_embedder.proj.weight")
      )
      #expect(before.shape == [32, 4, 4, 4] && after.shape == [32, 6, 4, 4])
      for row in 0..<32 {
        let kept = after.values[(96 * row)..<(96 * row + 64)]
        #expect(zip(kept, before.values[(64 * row)...]).allSatisfy { abs($0 - $1) < 1e-9 })
        #expect(after.values[(96 * row + 64)..<(96 * row + 96)].allSatisfy { abs($0) < 1e-9 })
      }
      let strict = try latentflow(
        try Workshop.shared.train("\(scratch.path)/back") + unconditional
          + ["data.cache=\(try Self.cache)", "--weights-only", try Self.run])
      #expect(strict.status == 65 && strict.errors.contains("1 unexpected, 1 of another shape"))
    }
  }
}
