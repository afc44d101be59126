import Diagnostics
import Foundation

/// The checkpoints of a run: `step-00000020`, `step-00000040` … in one folder.
///
/// A checkpoint appears by one rename after all its files are on the disk, so that a process killed
/// at any moment leaves complete checkpoints and, at worst, drafts that `recover` sweeps. The run
/// folder's lock keeps a second run away; of one run only rank 0 calls what changes names.
public struct CheckpointStore: Sendable {
  public struct Skipped: Equatable, Sendable {
    /// `step-00000040`
    public let name: String
    public let reason: String
  }

  public let folder: String
  private let disk: Disk

  public init(folder: String, disk: Disk = .local) {
    self.folder = folder
    self.disk = disk
  }

  static let draftPrefix = ".tmp-"
  /// What a new checkpoint of the same step is about to replace.
  static let replacedPrefix = ".old-"

  public static func name(step: Int) -> String { "step-" + digits(step, 8) }

  public func path(step: Int) -> String { folder + "/" + CheckpointStore.name(step: step) }

  private func draftPath(step: Int) -> String {
    folder + "/" + CheckpointStore.draftPrefix + CheckpointStore.name(step: step)
  }

  private func replacedPath(step: Int) -> String {
    folder + "/" + CheckpointStore.replacedPrefix + CheckpointStore.name(step: step)
  }

  /// At the start of a run, on rank 0: finishes or undoes what a killed process left half done.
  public func recover() throws {
    guard FileManager.default.fileExists(atPath: folder) else { return }
    for name in try Disk.names(in: folder) {
      if name.hasPrefix(CheckpointStore.draftPrefix) {
        try disk.remove(folder + "/" + name)
      } else if name.hasPrefix(CheckpointStore.replacedPrefix) {
        let original = folder + "/" + name.dropFirst(CheckpointStore.replacedPrefix.count)
        if FileManager.default.fileExists(atPath: original) {
          try disk.remove(folder + "/" + name)
        } else {
          try disk.rename(folder + "/" + name, to: original)
        }
      }
    }
    try disk.syncFolder(folder)
  }

  /// Rank 0: creates the draft folder. The other ranks `join` once they know that it exists.
  public func begin(step: Int) throws -> CheckpointDraft {
    precondition(step >= 0, "checkpoint of step \(step)")
    try disk.createFolders(folder)
    let draft = join(step: step)
    try disk.remove(draft.folder)
    try disk.createFolder(draft.folder)
    return draft
  }

  /// The draft that rank 0 has begun.
  public func join(step: Int) -> CheckpointDraft {
    CheckpointDraft(step: step, folder: draftPath(step: step), disk: disk)
  }

  /// Rank 0, when all ranks have written: hashes all files, seals the manifest and gives the folder
  /// its name. Replaces an earlier checkpoint of the same step. Throws `.internal` naming a file
  /// that a rank has not written, `.io` if the disk refuses; the draft then stays for `recover`.
  @discardableResult
  public func commit(
    _ draft: CheckpointDraft, _ manifest: CheckpointManifest
  ) throws -> Checkpoint {
    precondition(
      draft.step == manifest.step, "manifest of step \(manifest.step), draft of \(draft.step)")
    var manifest = manifest
    let present = try Disk.names(in: draft.folder)
    let required = CheckpointManifest.requiredFiles(ranks: manifest.ranks)
    if let name = required.first(where: { !present.contains($0) }) {
      throw UserError(
        .internal, draft.folder, at: name, found: "not written", expected: "a file from every rank")
    }
    manifest.files = try present.reduce(into: [:]) { files, name in
      files[name] = try FileRecord(ofFile: draft.folder + "/" + name)
    }
    let file = try OutputFile(draft.folder + "/" + CheckpointManifest.fileName, disk: disk)
    try manifest.sealedText().withUnsafeBytes { try file.write($0) }
    _ = try file.finish()
    try disk.syncFolder(draft.folder)

    let target = path(step: draft.step)
    let replaced = replacedPath(step: draft.step)
    let replaces = FileManager.default.fileExists(atPath: target)
    if replaces {
      try disk.remove(replaced)
      // From here to the next rename `all` finds the earlier one under its other name.
      try disk.rename(target, to: replaced)
    }
    try disk.rename(draft.folder, to: target)
    try disk.syncFolder(folder)
    if replaces { try disk.remove(replaced) }
    return try Checkpoint(folder: target)
  }

  /// Committed checkpoints, newest first, whether good or not.
  private func all() throws -> [(step: Int, name: String, path: String)] {
    guard FileManager.default.fileExists(atPath: folder) else { return [] }
    let names = try Disk.names(in: folder)
    var paths: [Int: String] = [:]
    for name in names {
      let isReplaced = name.hasPrefix(CheckpointStore.replacedPrefix)
      let plain = isReplaced ? String(name.dropFirst(CheckpointStore.replacedPrefix.count)) : name
      guard plain.hasPrefix("step-"), let step = Int(plain.dropFirst(5)), step >= 0,
        CheckpointStore.name(step: step) == plain, !isReplaced || !names.contains(plain)
      else { continue }
      paths[step] = folder + "/" + name
    }
    return paths.sorted { $0.key > $1.key }
      .map { ($0.key, CheckpointStore.name(step: $0.key), $0.value) }
  }

  /// Steps of the checkpoints in the folder, oldest first, whether good or not.
  public func list() throws -> [Int] { try all().map(\.step).reversed() }

  /// Their folders, oldest first.
  public func folders() throws -> [String] { try all().map(\.path).reversed() }

  /// The checkpoint of `step`, its manifest checked. Throws `.missingInput` or `.badData`.
  public func checkpoint(step: Int) throws -> Checkpoint {
    guard let found = try all().first(where: { $0.step == step }) else {
      throw UserError(
        .missingInput, folder, found: "no checkpoint of step \(step)",
        expected: "one of \(try list())")
    }
    return try open(found.path, step: step)
  }

  private func open(_ path: String, step: Int) throws -> Checkpoint {
    let checkpoint = try Checkpoint(folder: path)
    guard checkpoint.step == step else {
      throw UserError(
        .badData, path, found: "a manifest of step \(checkpoint.step)", expected: "step \(step)",
        advice: "the folder was renamed")
    }
    return checkpoint
  }

  /// The newest checkpoint of which every file has the recorded hash, and why each newer one was
  /// passed over; nil if none is good. Reads all files of the checkpoints it looks at.
  public func latestGood() throws -> (checkpoint: Checkpoint?, skipped: [Skipped]) {
    var skipped: [Skipped] = []
    for (step, name, path) in try all() {
      do {
        let checkpoint = try open(path, step: step)
        try checkpoint.verify()
        return (checkpoint, skipped)
      } catch let error as UserError {
        skipped.append(Skipped(name: name, reason: error.description))
      }
    }
    return (nil, skipped)
  }

  /// Removes all but the newest `count` checkpoints, never the newest good one.
  /// - Parameter knownGood: a step just committed, which is then not read again to verify it.
  /// - Returns: the steps removed, oldest first.
  @discardableResult
  public func prune(keepLast count: Int, knownGood: Int? = nil) throws -> [Int] {
    precondition(count >= 1, "keepLast of \(count)")
    let present = try all()
    let steps = present.map(\.step)
    guard steps.count > count else { return [] }
    let known = knownGood.flatMap { steps.contains($0) ? $0 : nil }
    let good = try known ?? latestGood().checkpoint?.step
    // Where none is good, an old one may still be worth a rescue by hand.
    guard let good else { return [] }
    let removed = present.dropFirst(count).filter { $0.step != good }.reversed()
    for (step, _, path) in removed {
      // Under a draft's name first: a half-removed folder must not look like a checkpoint.
      let doomed = draftPath(step: step) + "-removed"
      try disk.remove(doomed)
      try disk.rename(path, to: doomed)
      try disk.remove(doomed)
    }
    try disk.syncFolder(folder)
    return removed.map(\.step)
  }
}
