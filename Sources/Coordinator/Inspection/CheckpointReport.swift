import Diagnostics
import FlowData

/// One checkpoint folder: what its manifest says and whether its files agree.
struct CheckpointReport: InspectionReport {
  struct File: Encodable {
    let name: String
    let bytes: Int
    let sha256: String
    /// What is wrong with it; nil if it has the recorded size and hash.
    let damage: String?
  }

  let kind = "checkpoint"
  let path: String
  let step: Int
  let seed: UInt64
  /// Ranks that wrote it.
  let ranks: Int
  let configHash: String
  let skippedSteps: Int
  let parameters: Int
  let files: [File]
  /// Of the trained parameters; nil where their file cannot be read.
  let model: FileReport?

  var isGood: Bool { files.allSatisfy { $0.damage == nil } }

  init(folder: String) throws {
    let checkpoint = try Checkpoint(folder: folder)
    let manifest = checkpoint.manifest
    path = folder
    (step, seed, ranks) = (manifest.step, manifest.seed, manifest.ranks)
    configHash = manifest.configHash
    skippedSteps = manifest.fields["skipped_steps"]?.int ?? 0
    files = try manifest.files.sorted { $0.key < $1.key }.map { name, record in
      File(
        name: name, bytes: record.bytes, sha256: record.sha256,
        damage: try CheckpointReport.damage(of: "\(folder)/\(name)", record))
    }
    do {
      model = try FileReport(checkpoint.model)
    } catch let error as UserError where [.badData, .missingInput].contains(error.status) {
      model = nil
    }
    parameters = model?.elements ?? 0
  }

  private static func damage(of path: String, _ expected: FileRecord) throws -> String? {
    let found: FileRecord
    do {
      found = try FileRecord(ofFile: path)
    } catch let error as UserError {
      return error.found
    }
    if found.bytes != expected.bytes {
      return "\(grouped(found.bytes)) bytes, expected \(grouped(expected.bytes))"
    }
    return found.sha256 == expected.sha256
      ? nil : "SHA-256 \(found.sha256), expected \(expected.sha256)"
  }

  var text: String {
    var text =
      "\(path): checkpoint of step \(step), \(isGood ? "good" : "DAMAGED")\n"
      + "  seed \(seed), configuration \(oneLine(configHash)), written by \(ranks) "
      + "\(ranks == 1 ? "rank" : "ranks"), \(skippedSteps) steps skipped\n"
      + "  \(grouped(parameters)) parameters\n\nfiles\n"
    var table = TextTable(rightAligned: [1])
    for file in files {
      table.append(
        oneLine(file.name), grouped(file.bytes), file.damage.map { "DAMAGED: \($0)" } ?? "ok")
    }
    text += table.text(indent: 2)
    if let model { text += "\ntensors of model.safetensors\n" + model.tensorsText }
    return text
  }
}
