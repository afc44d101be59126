import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Determinism {
    @Test(
      "the same seed gives the same parameters, bit for bit, on any number of ranks",
      arguments: [2, 4], ["local", "scatter"])
    func training(_ ranks: Int, _ placement: String) throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let (one, many) = ("\(scratch.path)/one", "\(scratch.path)/many")
      try latentflow(workshop.train(one)).requireSuccess()
      try latentflow(workshop.train(many, "data.placement=\(placement)"), ranks: ranks)
        .requireSuccess()
      let expected = try TrainedBits(run: one, step: 20)
      let found = try TrainedBits(run: many, step: 20)
      #expect(expected.metrics.count == 20 && expected.model != expected.average)
      #expect(found == expected, "\(found.difference(from: expected))")
      // Another seed is another run: the comparison can fail.
      let other = "\(scratch.path)/other"
      try latentflow(workshop.train(other, "seed=4")).requireSuccess()
      #expect(try TrainedBits(run: other, step: 20).model != expected.model)
    }

    @Test("latents of an autoencoder: the same cache and the same training on 1, 2 and 4 ranks")
    func autoencoder() throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let images = "\(scratch.path)/images"
      try latentflow(["dataset", "shapes", "--out", images, "--count", "40", "--size", "64"])
        .requireSuccess()
      var caches: [[String: Data]] = []
      var trained: [TrainedBits] = []
      for ranks in [1, 2, 4] {
        // The cache's index does not name its own folder.
        let cache = "\(scratch.path)/latents-\(ranks)"
        try latentflow(
          ["encode", images, "--out", cache, "--autoencoder", Workshop.autoencoder, "--flips"],
          ranks: ranks
        ).requireSuccess()
        caches.append(try contents(of: cache))
        let run = "\(scratch.path)/run-\(ranks)"
        try latentflow(
          workshop.train(
            run, "data.cache=\(scratch.path)/latents-1", "first_stage.kind=autoencoder",
            "first_stage.path=\(Workshop.autoencoder)", "data.flip=0.5", "training.steps=4"),
          ranks: ranks
        ).requireSuccess()
        trained.append(try TrainedBits(run: run, step: 4))
      }
      #expect(caches[0].keys.contains("shard-00000.safetensors"))
      #expect(caches[1] == caches[0] && caches[2] == caches[0])
      #expect(trained[1] == trained[0], "\(trained[1].difference(from: trained[0]))")
      #expect(trained[2] == trained[0], "\(trained[2].difference(from: trained[0]))")
    }

    @Test("an identity cache is the same, byte for byte, on 1, 2 and 4 ranks", arguments: [2, 4])
    func cache(_ ranks: Int) throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let cache = "\(scratch.path)/cache"
      try latentflow(
        ["encode", workshop.images, "--identity", "--size", "16", "--out", cache], ranks: ranks
      ).requireSuccess()
      #expect(try contents(of: cache) == contents(of: workshop.pixels))
    }

    @Test(
      "sample i has the same bits on any number of ranks and for any count",
      arguments: [
        ["--solver", "euler", "--steps", "4", "--cfg", "2"], ["--rtol", "1e-2"],
        ["--solver", "heun", "--sde", "sigma", "--steps", "4"],
        ["--solver", "ab3", "--steps", "4", "--cfg", "2", "--guidance-interval", "0.3,0.8"],
      ])
    func sampling(_ solver: [String]) throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      try latentflow(workshop.train(run)).requireSuccess()
      func draw(_ ranks: Int, count: Int, seed: Int = 5) throws -> [String: Data] {
        let out = "\(scratch.path)/\(ranks)-\(count)-\(seed)"
        let command = ["sample", run, "--count", "\(count)", "--seed", "\(seed)", "--out", out]
        try latentflow(command + solver, ranks: ranks).requireSuccess()
        // How the samples were made names the ranks and the time.
        return try contents(of: out).filter { $0.key != "samples.json" }
      }
      let expected = try draw(1, count: 40)
      #expect(expected.count == 41)
      for ranks in [2, 3, 4] {
        #expect(try draw(ranks, count: 40) == expected, "\(ranks) ranks")
      }
      let few = try draw(1, count: 5).filter { $0.key.hasSuffix(".png") }
      #expect(few.count == 5)
      for (name, data) in few { #expect(expected[name] == data, "\(name)") }
      #expect(try draw(1, count: 5, seed: 6)["000000.png"] != few["000000.png"])
    }
  }
}
