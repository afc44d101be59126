import Foundation
import TestSupport
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Verify {
    @Test("a cache: every damaged file is named, and none else", arguments: [1, 2])
    func cache(_ ranks: Int) throws {
      let scratch = try Scratch()
      let cache = "\(scratch.path)/cache"
      try latentflow(
        ["encode", "shapes:40@16#1", "--identity", "--shard-rows", "8", "--out", cache]
      ).requireSuccess()
      let good = try latentflow(["verify", cache], ranks: ranks).requireSuccess()
      #expect(good.output.contains("5 files") && good.output.contains("all good"), "\(good)")
      // Statistics that the shards do not come to: no hash tells.
      let index = "\(cache)/index.json"
      let text = try String(contentsOfFile: index, encoding: .utf8)
      let mean = try #require(text.firstMatch(of: #/"channelMean" : \[\s+(-?[0-9.e-]+)/#)).output.1
      try text.replacing(mean, with: "0.5").write(toFile: index, atomically: true, encoding: .utf8)
      let statistics = try latentflow(["verify", cache], ranks: ranks)
      #expect(
        statistics.status == 1 && statistics.output.contains("index.json: channelMean[0]: 0.5"),
        "\(statistics)")
      try text.write(toFile: index, atomically: true, encoding: .utf8)
      try damage("\(cache)/shard-00001.safetensors")
      try FileManager.default.removeItem(atPath: "\(cache)/shard-00003.safetensors")
      let bad = try latentflow(["verify", cache], ranks: ranks)
      #expect(bad.status == 1 && bad.output.contains("2 DAMAGED"), "\(bad)")
      #expect(bad.output.contains("shard-00001.safetensors: SHA-256"), "\(bad)")
      #expect(bad.output.contains("shard-00003.safetensors: No such file"), "\(bad)")
      #expect(!bad.output.contains("shard-00002"), "\(bad)")
      let json = try latentflow(["verify", cache, "--json"], ranks: ranks)
      let report = try #require(
        JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
      #expect((report["damages"] as? [Any])?.count == 2)
    }

    @Test(
      "a checkpoint, a run, a folder of checkpoints: the file that differs is named",
      arguments: [
        "model.safetensors", "ema.safetensors", "state-0000-of-0001.safetensors", "manifest.json",
      ])
    func checkpoints(_ file: String) throws {
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      try latentflow(try Workshop.shared.train(run)).requireSuccess()
      let folder = "\(run)/checkpoints"
      let newest = "\(folder)/step-00000020"
      for path in [run, folder, newest] { try latentflow(["verify", path]).requireSuccess() }
      try damage("\(newest)/\(file)")
      for path in [run, folder, newest] {
        let bad = try latentflow(["verify", path], ranks: path == run ? 2 : 1)
        #expect(bad.status == 1 && bad.output.contains("1 DAMAGED"), "\(bad)")
        #expect(bad.output.contains("step-00000020/\(file)"), "\(bad)")
      }
      try latentflow(["verify", "\(folder)/step-00000010"]).requireSuccess()
    }

    @Test("what carries no hashes is refused")
    func nothing() throws {
      let scratch = try Scratch()
      for path in [scratch.path, "\(scratch.path)/absent", try Workshop.shared.config] {
        let refused = try latentflow(["verify", path])
        #expect(refused.status == 66 && refused.errorLines.count == 1, "\(refused)")
      }
    }
  }
}
