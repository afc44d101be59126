import FlowData
import Foundation
import TestSupport
import Testing

extension EndToEnd {
  /// Caches that are killed, grown, checked, and done without.
  @Suite(.serialized) struct Encoding {
    /// splitmix64 (Steele et al. 2014), for moments that a failure can be repeated with.
    struct Moments: RandomNumberGenerator {
      var state: UInt64
      mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
      }
    }

    private static let words = [
      "encode", "shapes:240@32#5", "--identity", "--flips", "--masks", "--shard-rows", "8",
    ]

    private static let whole = Result {
      let scratch = try Scratch()
      try latentflow(words + ["--out", scratch.path]).requireSuccess()
      return try contents(of: scratch.path)
    }

    /// Starts the words of a launch and after `seconds` kills them with all that they started.
    private func kill(_ words: [String], after seconds: Double) throws -> Int32 {
      let shell = """
        set -m
        moment=$1
        shift
        "$@" & child=$!
        trap 'kill -9 $child' TERM
        sleep "$moment"
        kill -9 $(cat /proc/$child/task/*/children) $child
        wait $child
        """
      return try runProcess(
        "/usr/bin/env", ["bash", "-c", shell, "kill", "\(seconds)"] + words,
        environment: launchEnvironment, timeout: 60
      ).status
    }

    @Test(
      "killed at ten random moments and resumed: the bytes of an encoding left in peace",
      arguments: [1, 2, 4])
    func killed(_ ranks: Int) throws {
      let expected = try Self.whole.get()
      #expect(expected.count == 61)
      let scratch = try Scratch()
      let clock = ContinuousClock()
      let time = try clock.measure {
        try latentflow(Self.words + ["--out", "\(scratch.path)/timed"], ranks: ranks)
          .requireSuccess()
      }
      let seconds = Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18
      var moments = Moments(state: UInt64(ranks))
      var (kills, launches, folder, states) = (0, 0, 0, Set<Int>())
      while kills < 10 {
        let cache = "\(scratch.path)/cache-\(folder)"
        let words = launch(ranks, Self.words + ["--out", cache, "--threads", "1"])
        // What is done already is not done again: a later moment would come after the end.
        let moment = seconds * Double.random(in: 0.2...0.9, using: &moments)
        let status = try kill(words, after: moment)
        launches += 1
        try #require(launches < 60, "\(kills) kills of \(launches) launches of \(seconds) s")
        if status == 128 + SIGKILL {
          kills += 1
          states.insert((try? contents(of: cache).count) ?? 0)
        }
        guard status == 0 || kills == 10 || kills % 5 == 0 else { continue }
        try latentflow(Self.words + ["--out", cache], ranks: ranks).requireSuccess()
        let found = try contents(of: cache)
        #expect(found == expected, "after \(kills) kills: \(found.keys.sorted())")
        folder += 1
      }
      #expect(states.count > 1, "all kills came in the same state: \(states)")
    }

    @Test("rows behind rows: the cache of both sets, wherever it was killed", arguments: [1, 2])
    func append(_ ranks: Int) throws {
      let scratch = try Scratch()
      let cache = "\(scratch.path)/cache"
      let first = ["encode", "shapes:20@32#1", "--identity", "--flips", "--shard-rows", "8"]
      try latentflow(first + ["--out", cache], ranks: ranks).requireSuccess()
      let before = try contents(of: cache)
      let more = ["encode", "shapes:30@32#2", "--identity", "--append", "--out", cache]
      let run = try latentflow(more, ranks: ranks).requireSuccess()
      #expect(run.output.hasPrefix("50 latents"))
      let after = try contents(of: cache)
      for (name, data) in before where name != "index.json" { #expect(after[name] == data) }
      #expect(after.count == before.count + 8)
      // Once more changes nothing; a cache of the second set alone has its rows.
      try latentflow(more).requireSuccess()
      #expect(try contents(of: cache) == after)
      let alone = "\(scratch.path)/alone"
      try latentflow(
        ["encode", "shapes:30@32#2", "--identity", "--flips", "--shard-rows", "8", "--out", alone]
      ).requireSuccess()
      let (both, second) = (try LatentCache(folder: cache), try LatentCache(folder: alone))
      for i in 0..<30 {
        let (a, b) = (both.row(20 + i, flipped: i % 2 == 1), second.row(i, flipped: i % 2 == 1))
        #expect(memcmp(a.mean, b.mean, 4 * 32 * 32 * 3) == 0 && a.label == b.label, "row \(i)")
      }
      #expect(try latentflow(["verify", cache], ranks: ranks).status == 0)
      try latentflow(
        try Workshop.shared.train(
          "\(scratch.path)/run", "data.cache=\(cache)", "training.steps=1")
      ).requireSuccess()
      let other = try latentflow(
        ["encode", "shapes:30@64#2", "--identity", "--append", "--out", cache])
      #expect(other.status == 64 && other.errors.contains("latentShape"), "\(other)")
      #expect(try contents(of: cache) == after)
    }

    @Test("masks and low-resolution latents stand beside the latents, on any number of ranks")
    func extras() throws {
      let scratch = try Scratch()
      var caches: [[String: Data]] = []
      for ranks in [1, 2] {
        let cache = "\(scratch.path)/cache-\(ranks)"
        try latentflow(
          [
            "encode", "shapes:40@64#3", "--autoencoder", Workshop.autoencoder, "--size", "32",
            "--masks", "--low-res", "16", "--shard-rows", "16", "--out", cache,
          ], ranks: ranks
        ).requireSuccess()
        caches.append(try contents(of: cache))
      }
      #expect(caches[0] == caches[1])
      let cache = try LatentCache(folder: "\(scratch.path)/cache-1")
      let d = cache.index.description
      #expect(cache.index.format == 2 && d.lowResolution?.latentShape == [2, 2, 4])
      let shapes = ShapesDataset(size: 64, seed: 3, count: 40)
      for i in [0, 17, 39] {
        let map = try #require(cache.mask(i))
        let full = try shapes.mask(i)
        // Every second pixel of every second row, that on the far side of the middle.
        var expected: [UInt8] = []
        for y in 0..<32 {
          for x in 0..<32 { expected.append(full.labels[(2 * y + 1) * 64 + 2 * x + 1]) }
        }
        #expect(map.labels == expected && Set(map.labels).count == 2, "mask \(i)")
        #expect(cache.mask(i, flipped: true)?.labels.prefix(32).elementsEqual(
          map.labels.prefix(32).reversed()) == true)
      }
      // The latents of the small pictures are those that encoding small pictures gives.
      let small = "\(scratch.path)/small"
      try latentflow(
        [
          "encode", "shapes:40@64#3", "--autoencoder", Workshop.autoencoder, "--size", "16",
          "--crop", "stretch", "--out", small,
        ]
      ).requireSuccess()
      #expect(try LatentCache(folder: small).latentShape == [2, 2, 4])
      #expect(cache.row(5).lowMean?[0] != cache.row(5).mean[0])
      let refused = try latentflow(
        [
          "encode", try Workshop.shared.images + "/images", "--identity", "--masks",
          "--out", "\(small)-2",
        ])
      #expect(refused.status == 64 && refused.errors.contains("without label maps"), "\(refused)")
    }
  }
}
