import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct DataSets {
    /// A folder of two classes, one of whose pictures is cut short.
    private func photos(in scratch: Scratch, broken: Bool) throws -> String {
      let images = try Workshop.shared.images + "/images"
      let folder = "\(scratch.path)/photos"
      let names = try FileManager.default.contentsOfDirectory(atPath: images).sorted().prefix(12)
      for (i, name) in names.enumerated() {
        let target = "\(folder)/\(["cats", "dogs"][i % 2])/\(name)"
        try FileManager.default.createDirectory(
          atPath: (target as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(images)/\(name)"))
        try (broken && i == 5 ? data.prefix(data.count / 2) : data)
          .write(to: URL(fileURLWithPath: target))
      }
      return folder
    }

    @Test("broken pictures: strict names one, skip lists them, alike on 1, 2 and 4 ranks")
    func broken() throws {
      let scratch = try Scratch()
      let folder = try photos(in: scratch, broken: true)
      let strict = try latentflow(
        ["encode", folder, "--identity", "--size", "16", "--out", "\(scratch.path)/strict"])
      #expect(strict.status == 65 && strict.errorLines.first?.contains("000005.png") == true)
      var caches: [[String: Data]] = []
      for ranks in [1, 2, 4] {
        let cache = "\(scratch.path)/cache-\(ranks)"
        let run = try latentflow(
          [
            "encode", folder, "--identity", "--size", "16", "--broken", "skip", "--out", cache,
          ], ranks: ranks
        ).requireSuccess()
        #expect(run.output.hasPrefix("11 latents"))
        #expect(run.errors.contains("1 of 12 pictures are broken"))
        caches.append(try contents(of: cache))
      }
      #expect(caches[1] == caches[0] && caches[2] == caches[0])
      let list = String(decoding: try #require(caches[0]["broken.json"]), as: UTF8.self)
      #expect(list.contains("\"name\" : \"dogs/000005.png\"") && list.contains("ends inside"))
      // A training run knows the pictures of such a cache again.
      try latentflow(
        try Workshop.shared.train(
          "\(scratch.path)/run", "data.cache=\(scratch.path)/cache-2", "model.classes=2",
          "training.steps=1")
      ).requireSuccess()
      let info = try latentflow(["dataset", "info", folder, "--json"]).requireSuccess()
      let summary = try #require(
        JSONSerialization.jsonObject(with: Data(info.output.utf8)) as? [String: Any])
      #expect(summary["pictures"] as? Int == 12)
      #expect((summary["broken"] as? [Any])?.count == 1)
    }

    @Test("a set packed in any form encodes to the same latents", arguments: ["tar", "zip"])
    func packed(_ form: String) throws {
      let scratch = try Scratch()
      let folder = try photos(in: scratch, broken: false)
      let archive = "\(scratch.path)/photos.\(form)"
      try latentflow(["dataset", "pack", folder, "--out", archive]).requireSuccess()
      for (source, cache) in [(folder, "a"), (archive, "b")] {
        try latentflow(
          ["encode", source, "--identity", "--size", "16", "--out", "\(scratch.path)/\(cache)"]
        ).requireSuccess()
      }
      let shard = "shard-00000.safetensors"
      #expect(
        try tensorBytes("\(scratch.path)/a/\(shard)") == tensorBytes("\(scratch.path)/b/\(shard)"))
    }

    @Test("parts of a split are disjoint, cover the set, and encode alone")
    func split() throws {
      let scratch = try Scratch()
      let folder = try photos(in: scratch, broken: false)
      let parts = "\(scratch.path)/parts"
      try latentflow(
        ["dataset", "split", folder, "--parts", "train=0.5,val=0.5", "--out", parts]
      ).requireSuccess()
      let lists = try ["train", "val"].map {
        try String(contentsOfFile: "\(parts)/\($0).txt", encoding: .utf8)
          .split(separator: "\n").map(String.init)
      }
      #expect(lists.map(\.count) == [6, 6] && Set(lists.joined()).count == 12)
      let encoded = try latentflow([
        "encode", folder, "--identity", "--size", "16", "--subset", "\(parts)/val.txt", "--out",
        "\(scratch.path)/val",
      ]).requireSuccess()
      #expect(encoded.output.hasPrefix("6 latents"))
    }

    @Test("a contact sheet holds as many pictures as asked for")
    func preview() throws {
      let scratch = try Scratch()
      let sheet = "\(scratch.path)/sheet.png"
      try latentflow([
        "dataset", "preview", "shapes:40@32#1", "--count", "10", "--columns", "5", "--size", "16",
        "--masks", "--out", sheet,
      ]).requireSuccess()
      // Signature, IHDR, then width and height: 4 pictures and maps a row, 2 pixels between them.
      let head = [UInt8](try Data(contentsOf: URL(fileURLWithPath: sheet)).prefix(24))
      #expect(head[19] == 4 * 18 + 2 && head[23] == 5 * 18 + 2)
    }
  }
}
