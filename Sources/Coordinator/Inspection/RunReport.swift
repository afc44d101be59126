import Diagnostics
import FlowData
import Foundation
import RunFormat
import Worker

/// A run folder: where it ran, how far it came, and its checkpoints.
struct RunReport: InspectionReport {
  struct Saved: Encodable {
    let step: Int
    /// nil if the files have the recorded hashes.
    let damage: String?
  }

  struct Progress: Encodable {
    let step: Int
    let loss: Double
    let gradientNorm: Double
  }

  let kind = "run"
  let path: String
  let environment: RunEnvironment?
  /// The kind of the last event: started, checkpoint, interrupted, finished.
  let lastEvent: String?
  /// The last logged step.
  let progress: Progress?
  let checkpoints: [Saved]
  /// What the run trains; nil where its configuration is not there, or is one of an autoencoder.
  let network: NetworkReport?

  var isGood: Bool { checkpoints.allSatisfy { $0.damage == nil } }

  init(folder path: String, _ question: CostQuestion) throws {
    let folder = RunFolder(path: path)
    func exists(_ file: String) -> Bool { FileManager.default.fileExists(atPath: file) }
    self.path = path
    environment = exists(folder.environmentPath) ? try folder.readEnvironment() : nil
    lastEvent = exists(folder.eventsPath) ? try EventLog.read(folder.eventsPath).last?.kind : nil
    let steps = exists(folder.metricsPath) ? try LoggedSteps(folder.metricsPath).steps : [:]
    progress = steps.max { $0.key < $1.key }.map {
      Progress(step: $0.key, loss: $0.value.loss, gradientNorm: $0.value.gradientNorm)
    }
    let store = CheckpointStore(folder: folder.checkpointsPath)
    checkpoints = try store.list().map { step in
      do {
        try store.checkpoint(step: step).verify()
        return Saved(step: step, damage: nil)
      } catch let error as UserError {
        return Saved(step: step, damage: error.summary)
      }
    }
    network = RunReport.network(folder, store, question)
  }

  private static func network(
    _ folder: RunFolder, _ store: CheckpointStore, _ question: CostQuestion
  ) -> NetworkReport? {
    // What is damaged or gone is told above; a report of the rest does not fail for it.
    guard let config = try? RunConfig.load(file: folder.configPath) else { return nil }
    var shape = question.latentShape
    if shape == nil { shape = try? config.latentShape() }
    if shape == nil { shape = latentShape(store) }
    guard let shape, let network = try? config.model.specification(latentShape: shape) else {
      return nil
    }
    return NetworkReport(network, config, question)
  }

  /// [H, W, C] that the last good checkpoint has in its header.
  private static func latentShape(_ store: CheckpointStore) -> [Int]? {
    guard let (checkpoint, _) = try? store.latestGood(), let checkpoint,
      let file = try? SafetensorsFile(checkpoint.model)
    else { return nil }
    return (try? ModelFileHeader(of: file))?.latentShape
  }

  var text: String {
    var table = TextTable()
    table.append("state", lastEvent ?? "no events")
    if let progress {
      table.append(
        "last step",
        "\(progress.step), loss \(progress.loss), gradient norm \(progress.gradientNorm)")
    }
    if let environment {
      table.append(
        "ran on",
        "\(environment.host): \(environment.ranks) × \(environment.threadsPerRank) threads, "
          + environment.cpu)
      table.append("configuration", environment.configFingerprint)
    }
    var text =
      "\(path): run, \(checkpoints.count) checkpoints\(isGood ? "" : ", some DAMAGED")\n"
      + table.text(indent: 2)
    if !checkpoints.isEmpty {
      var rows = TextTable()
      for saved in checkpoints {
        rows.append(
          CheckpointStore.name(step: saved.step), saved.damage.map { "DAMAGED: \($0)" } ?? "ok")
      }
      text += "\ncheckpoints\n" + rows.text(indent: 2)
    }
    if let network { text += "\n" + network.text }
    return text
  }
}
