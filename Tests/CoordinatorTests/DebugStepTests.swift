import Foundation
import TestSupport
import Testing

/// A run of two ranks on a tiny data set: 6 steps, checkpoints at 2, 4 and 6.
final class TinyRun {
  let folder: ScratchFolder
  let run: String
  let cache: String

  init() throws {
    folder = try ScratchFolder()
    (run, cache) = ("\(folder.path)/run", "\(folder.path)/latents")
    let images = "\(folder.path)/images"
    for arguments in [
      ["dataset", "shapes", "--out", images, "--count", "32", "--size", "16"],
      ["encode", images, "--identity", "--scale", "2", "--out", cache, "--threads", "1"],
    ] {
      let answer = try command(arguments)
      try #require(answer.status == 0, "\(answer.errors)")
    }
    let config = try folder.write(
      """
      seed: 3
      model: {kind: dit, width: 32, depth: 1, heads: 2, patch: 4, classes: 16, label_dropout: 0.1}
      first_stage: {kind: identity}
      data: {cache: \(cache), placement: scatter}
      training: {steps: 6, micro_batch: 4, micro_batches: 4, clip: 1.0}
      schedule: {kind: cosine, warmup: 2, final: 0.1}
      checkpoint: {every: 2, keep: 10}
      log: {tensorboard: false}
      """, to: "tiny.yaml")
    let trained = try mpirun(
      2, "latentflow", ["train", config, "--run", run, "--threads", "1"], timeout: 120)
    try #require(trained.status == 0, "\(trained.stderr)")
  }

  /// The bytes of every file of the run, by path.
  func contents() throws -> [String: Data] {
    let paths = try FileManager.default.subpathsOfDirectory(atPath: run)
    return Dictionary(
      uniqueKeysWithValues: paths.map { ($0, FileManager.default.contents(atPath: "\(run)/\($0)")) }
        .map { ($0, $1 ?? Data()) })
  }

  /// A copy whose metrics say something else of one step.
  func copy(changing step: Int, column: Int, in folder: ScratchFolder) throws -> String {
    let path = "\(folder.path)/run"
    try FileManager.default.copyItem(atPath: run, toPath: path)
    let file = "\(path)/metrics.csv"
    let text = try String(contentsOfFile: file, encoding: .utf8)
    var lines = text.split(separator: "\n").map { $0.split(separator: ",").map(String.init) }
    lines[step][column] = "\(try #require(Double(lines[step][column])).nextUp)"
    try lines.map { $0.joined(separator: ",") + "\n" }.joined()
      .write(toFile: file, atomically: true, encoding: .utf8)
    return path
  }
}

@Suite("debug step", .serialized) struct DebugStepTests {
  @Test("one rank finds the bits that two ranks logged, and writes nothing")
  func identical() throws {
    let tiny = try TinyRun()
    let before = try tiny.contents()
    for (step, start) in [
      (1, "the initial weights"), (2, "the initial weights"), (3, "the checkpoint of step 2"),
      (4, "the checkpoint of step 2"), (6, "the checkpoint of step 4"),
    ] {
      let answer = try command("debug", "step", "--run", tiny.run, "--step", "\(step)")
      #expect(answer.status == 0 && answer.errors == "", "\(answer)")
      let lines = answer.output.split(separator: "\n")
      #expect(lines.count { $0.hasSuffix("  bit-identical") } == 2)
      #expect(lines.last == "replayed from \(start)")
      let logged = try logged(step, tiny)
      #expect(lines[1].split(separator: " ").dropFirst().prefix(2) == [logged.loss, logged.loss])
      #expect(lines[2].contains("  \(logged.norm)  \(logged.norm)  "))
    }
    let named = try command(
      "debug", "step", "--run", tiny.run, "--step", "6", "--checkpoint",
      "\(tiny.run)/checkpoints/step-00000002", "--json")
    #expect(named.status == 0)
    let root = try #require(
      try JSONSerialization.jsonObject(with: Data(named.output.utf8)) as? [String: Any])
    #expect(root["isIdentical"] as? Bool == true && root["startedFrom"] as? Int == 2)
    #expect(try tiny.contents() == before)
  }

  private func logged(_ step: Int, _ tiny: TinyRun) throws -> (loss: Substring, norm: Substring) {
    let text = try String(contentsOfFile: "\(tiny.run)/metrics.csv", encoding: .utf8)
    let cells = text.split(separator: "\n")[step].split(separator: ",")
    return (Substring(String(cells[1])), Substring(String(cells[2])))
  }

  @Test("one bit off is a difference", arguments: [1, 2])
  func different(_ column: Int) throws {
    let tiny = try TinyRun()
    let folder = try ScratchFolder()
    let run = try tiny.copy(changing: 3, column: column, in: folder)
    let answer = try command("debug", "step", "--run", run, "--step", "3")
    #expect(answer.status == 1)
    let lines = answer.output.split(separator: "\n")
    #expect(lines[column].contains("relative difference"))
    #expect(lines[3 - column].hasSuffix("  bit-identical"))
    #expect(lines[3].hasSuffix("; the first step that differs is 3"))
    // On the way to a step that agrees, it is told, and no failure.
    let later = try command("debug", "step", "--run", run, "--step", "4")
    #expect(later.status == 0 && later.output.contains("the first step that differs is 3"))
  }

  @Test("a damaged checkpoint is passed over; a wrong step is told")
  func refused() throws {
    let tiny = try TinyRun()
    let model = "\(tiny.run)/checkpoints/step-00000004/model.safetensors"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: model))
    bytes[bytes.count - 1] ^= 1
    try bytes.write(to: URL(fileURLWithPath: model))
    let answer = try command("debug", "step", "--run", tiny.run, "--step", "5")
    #expect(answer.status == 0 && answer.output.hasSuffix("the checkpoint of step 2\n"))
    #expect(answer.errors.hasPrefix("warning: checkpoint step-00000004 is skipped: "))

    let beyond = try command("debug", "step", "--run", tiny.run, "--step", "7")
    #expect(beyond.status == 64 && beyond.errors.contains("a step from 1 to 6"))
    let late = try command(
      "debug", "step", "--run", tiny.run, "--step", "2", "--checkpoint",
      "\(tiny.run)/checkpoints/step-00000002")
    #expect(late.status == 64 && late.errors.contains("one before step 2"))
    #expect(try command("debug", "step", "--run", tiny.folder.path, "--step", "1").status == 66)
    #expect(try command("debug", "step", "--run", tiny.run, "--step", "0").status == 64)

    // The same damage, seen by inspect.
    let run = try command("inspect", tiny.run)
    #expect(run.status == 1)
    let lines = run.output.split(separator: "\n")
    #expect(lines.contains("  step-00000002  ok") && lines.contains("  step-00000006  ok"))
    #expect(lines.contains { $0.hasPrefix("  step-00000004  DAMAGED: ") })
    let checkpoint = try command("inspect", "\(tiny.run)/checkpoints/step-00000004")
    #expect(checkpoint.status == 1)
    #expect(checkpoint.output.contains("checkpoint of step 4, DAMAGED\n"))
    #expect(checkpoint.output.split(separator: "\n").count { $0.hasSuffix("  ok") } == 3)
  }

  @Test("inspect shows a run, a checkpoint, weights and a cache")
  func inspect() throws {
    let tiny = try TinyRun()
    let run = try command("inspect", tiny.run)
    #expect(run.status == 0 && run.errors == "")
    #expect(run.output.hasPrefix("\(tiny.run): run, 3 checkpoints\n  state          finished\n"))
    #expect(run.output.contains("  last step      6, loss "))
    #expect(run.output.contains(": 2 × 1 threads, "))

    let folder = "\(tiny.run)/checkpoints/step-00000006"
    let checkpoint = try command("inspect", folder)
    #expect(checkpoint.status == 0)
    #expect(checkpoint.output.hasPrefix("\(folder): checkpoint of step 6, good\n  seed 3, "))
    // 32·(3·16 + 1) + 32·(256 + 1) + 32·33 + 17·32 + 16·32 + 32·96 + 96 + 32·33 + 32·128 + 128
    // + 128·32 + 32 + 33·192 + 33·48 + 33·64
    #expect(checkpoint.output.contains("\n  34,512 parameters\n"))
    #expect(
      checkpoint.output.contains("\n  x_embedder.proj.weight                 F32  [32, 3, 4, 4]\n"))

    let file = try command("inspect", "\(folder)/ema.safetensors", "--json")
    #expect(file.status == 0)
    let root = try #require(
      try JSONSerialization.jsonObject(with: Data(file.output.utf8)) as? [String: Any])
    #expect(root["elements"] as? Int == 34_512)
    #expect((root["tensors"] as? [[String: Any]])?.count == 22)
    #expect((root["metadata"] as? [String: String])?["latentflow"]?.contains("\"step\":6") == true)

    let cache = try command("inspect", tiny.cache)
    #expect(cache.status == 0)
    #expect(cache.output.hasPrefix("\(tiny.cache): latent cache, 32 latents\n  shape "))
    #expect(cache.output.contains("  scale         2.0\n"))
    #expect(cache.output.hasSuffix("  shards        1, ok\n"))
  }

  @Test("inspect shows a file without knowing it, and refuses what it cannot read")
  func files() throws {
    let folder = try ScratchFolder()
    #expect(try command("inspect", folder.path).status == 66)
    #expect(try command("inspect", "\(folder.path)/none").status == 66)
    #expect(try command("inspect", try folder.write("text, not tensors", to: "a.txt")).status == 65)
    let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Fixtures/files").path
    let path = "\(fixtures)/safetensors_good_scalar_empty.safetensors"
    let answer = try command("inspect", path)
    #expect(answer.status == 0 && answer.output.hasPrefix("\(path): safetensors, "))
  }
}
