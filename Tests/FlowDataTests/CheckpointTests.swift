import Diagnostics
import FlowData
import FlowTensor
import Foundation
import Testing

@Suite(.serialized)
struct CheckpointTests {
  let scratch: ScratchFolder

  init() throws { scratch = try ScratchFolder() }

  /// Writes a whole checkpoint whose every element is `value`.
  @discardableResult
  private func save(
    _ store: CheckpointStore, step: Int, value: Float, ranks: Int = 2
  ) throws -> Checkpoint {
    let draft = try store.begin(step: step)
    let data = [Float](repeating: value, count: 100)
    try data.withUnsafeBufferPointer { buffer in
      let tensor = SafetensorsTensor("w", [100], buffer.baseAddress!)
      try draft.write([tensor], to: draft.model)
      try draft.write([tensor], to: store.join(step: step).ema)
      for rank in 0..<ranks {
        try draft.write([tensor], to: draft.state(rank: rank, of: ranks))
      }
    }
    return try store.commit(
      draft,
      CheckpointManifest(
        step: step, seed: .max, configHash: "c0ffee", ranks: ranks,
        fields: ["epoch": .integer(3), "loss": .number(0.1), "big": .number(1)]))
  }

  private func value(_ checkpoint: Checkpoint?) throws -> Float {
    let file = try SafetensorsFile(try #require(checkpoint).model)
    return try file.tensor("w").values[99]
  }

  @Test("a checkpoint comes back with all it was given")
  func roundTrip() throws {
    let store = CheckpointStore(folder: scratch / "run/checkpoints")
    #expect(try store.latestGood().checkpoint == nil)
    #expect(try store.list() == [])
    let saved = try save(store, step: 20, value: 1)
    #expect(saved.folder == scratch / "run/checkpoints/step-00000020")
    let (found, skipped) = try store.latestGood()
    #expect(found == saved)
    #expect(skipped == [])
    let manifest = try #require(found).manifest
    #expect(manifest.seed == .max)
    #expect(manifest.configHash == "c0ffee")
    #expect(manifest.fields["epoch"]?.int == 3)
    #expect(manifest.fields["loss"]?.double == 0.1)
    #expect(
      manifest.files.keys.sorted() == [
        "ema.safetensors", "model.safetensors", "state-0000-of-0002.safetensors",
        "state-0001-of-0002.safetensors",
      ])
    #expect(saved.state(rank: 1).hasSuffix("step-00000020/state-0001-of-0002.safetensors"))
    #expect(try manifest.files["model.safetensors"] == FileRecord(ofFile: saved.model))
    #expect(try Checkpoint(folder: saved.folder) == saved)
  }

  @Test("a rank that has not written keeps the checkpoint from being committed")
  func missingRank() throws {
    let store = CheckpointStore(folder: scratch / "c")
    let draft = try store.begin(step: 1)
    let error = #expect(throws: UserError.self) {
      try store.commit(
        draft, CheckpointManifest(step: 1, seed: 0, configHash: "", ranks: 1))
    }
    #expect(error?.place == "ema.safetensors")
    #expect(try store.list() == [])
  }

  typealias Damage = (
    what: String, file: String, change: @Sendable (String) throws -> Void, reason: String
  )

  static let damages: [Damage] = [
    ("a flipped bit", "ema.safetensors", { try flipBit(inByte: 300, of: $0) }, "SHA-256"),
    ("a cut file", "state-0001-of-0002.safetensors", { truncate($0, 100) }, "100 bytes"),
    ("a missing file", "model.safetensors", { unlink($0) }, "No such file"),
    ("a missing manifest", "manifest.json", { unlink($0) }, "no manifest.json"),
    ("a cut manifest", "manifest.json", { truncate($0, 50) }, "byte 48: a string does not end"),
    ("an edited manifest", "manifest.json",
      { try edit($0, "c0ffee", "c0ffed") }, "SHA-256"),
    ("a name that leaves the folder", "manifest.json",
      { try edit($0, "model.safetensors", "../../a.safetensors") }, "SHA-256"),
    ("a later format", "manifest.json", { try edit($0, "\"format\" : 1", "\"format\" : 2") },
      "format: 2; expected 1"),
  ]

  @Test("the newest good one is found, and what was wrong with the newer one", arguments: damages)
  func fallsBack(_ row: Damage) throws {
    let store = CheckpointStore(folder: scratch / "c")
    try save(store, step: 20, value: 1)
    let newest = try save(store, step: 40, value: 2)
    try row.change(newest.folder + "/" + row.file)
    let (found, skipped) = try store.latestGood()
    #expect(found?.step == 20)
    #expect(skipped.map(\.name) == ["step-00000040"])
    let reason = skipped.first?.reason ?? ""
    #expect(reason.contains(row.reason), "\(row.what): \(reason)")
    #expect(reason.contains(newest.folder))
    // Pruning keeps the newest good one although a newer one is there.
    #expect(try store.prune(keepLast: 1) == [])
    #expect(try store.list() == [20, 40])
    // Writing the damaged step again heals it.
    try save(store, step: 40, value: 3)
    #expect(try value(store.latestGood().checkpoint) == 3)
  }

  @Test("a flipped bit is told with both hashes")
  func bothHashes() throws {
    let checkpoint = try save(CheckpointStore(folder: scratch / "c"), step: 20, value: 1)
    try flipBit(inByte: 300, of: checkpoint.model)
    let error = #expect(throws: UserError.self) { try checkpoint.verify() }
    #expect(error?.subject == checkpoint.model)
    #expect(try error?.found == "SHA-256 " + FileRecord(ofFile: checkpoint.model).sha256)
    #expect(error?.expected == checkpoint.manifest.files["model.safetensors"]?.sha256)
  }

  @Test("pruning keeps the last K")
  func prune() throws {
    let store = CheckpointStore(folder: scratch / "c")
    for step in [1, 2, 3, 4] { try save(store, step: step, value: Float(step)) }
    #expect(try store.prune(keepLast: 2, knownGood: 4) == [1, 2])
    #expect(try store.list() == [3, 4])
    #expect(try store.prune(keepLast: 5) == [])
    #expect(try FileManager.default.contentsOfDirectory(atPath: store.folder).count == 2)
  }

  /// What happens in a run: two checkpoints, the second step written twice, pruned to one.
  @Test("killed before any one operation, the folder holds a complete checkpoint")
  func killedAnywhere() throws {
    var stop = 0
    var completed = false
    while !completed {
      let folder = scratch / "run-\(stop)"
      try save(CheckpointStore(folder: folder), step: 20, value: 1, ranks: 1)
      let disk = dyingDisk(after: stop)
      let dying = CheckpointStore(folder: folder, disk: disk)
      var done = 0
      do {
        try save(dying, step: 40, value: 2, ranks: 1)
        done = 1
        try save(dying, step: 40, value: 3, ranks: 1)
        done = 2
        try dying.prune(keepLast: 1)
        completed = true
      } catch is SafetensorsWriteTests.Killed {}
      let store = CheckpointStore(folder: folder)
      // Before and after the sweep of the next start.
      for sweep in [false, true] {
        if sweep { try store.recover() }
        let (found, skipped) = try store.latestGood()
        let value = try value(found)
        #expect(skipped == [], "stopped before operation \(stop)")
        // What was committed is there; what was being committed may be.
        let possible: [[Float]] = [[1, 2], [2, 3], [3]]
        #expect(possible[done].contains(value), "stopped before operation \(stop)")
      }
      let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(names.allSatisfy { $0.hasPrefix("step-") }, "\(names)")
      // The run goes on from there.
      try save(store, step: 60, value: 4, ranks: 1)
      #expect(try self.value(store.latestGood().checkpoint) == 4)
      stop += 1
    }
    #expect(stop > 30)
  }
}

private func truncate(_ path: String, _ count: Int) { _ = Foundation.truncate(path, off_t(count)) }

private func edit(_ path: String, _ old: String, _ new: String) throws {
  let text = try String(contentsOfFile: path, encoding: .utf8)
  #expect(text.contains(old))
  try text.replacingOccurrences(of: old, with: new)
    .write(toFile: path, atomically: false, encoding: .utf8)
}
