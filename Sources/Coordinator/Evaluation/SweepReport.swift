import Diagnostics
import FlowData
import Foundation
import Worker

/// What `sweep` found, and keeps while it runs: sweep.json.
struct SweepReport: Codable {
  struct Row: Codable {
    var solver: String
    var setting: String
    var guidance: Float
    var distance: Double
    /// Ends of the 95 % interval.
    var lower: Double?
    var upper: Double?
    /// Evaluations of the field per sample.
    var evaluationsMean: Double
    /// Drawn by all ranks, judging left out.
    var imagesPerSecond: Double
    /// What the row is a function of beside the reference.
    var key: String
  }

  /// What the distance is called.
  var distanceName: String
  var rows: [Row]
  var model: String
  var modelHash: String
  var count: Int
  var seed: UInt64
  var labels: String
  var weights: String
  var codecHash: String
  var pixels: String
  var features: String
  var featuresHash: String
  var patches: String?
  var reference: String
  var referenceHash: String
  var referenceCount: Int?
  var version: String
  var ranks: Int
  var threadsPerRank: Int

  init(
    _ loaded: LoadedModel, _ plan: SamplingPlan, count: Int, _ pixels: PixelPipeline,
    _ work: FeatureWork, _ reference: ReferenceStatistics, distanceName: String, trained: Bool
  ) {
    (self.distanceName, rows) = (distanceName, [])
    (model, modelHash, codecHash) = (loaded.file, loaded.hash, loaded.firstStage.hash)
    (self.count, seed, labels) = (count, plan.seed, "\(plan.labels)")
    weights = trained ? "trained" : "running average"
    self.pixels = pixels.description
    (features, featuresHash) = (work.extractor.name, work.extractor.hash)
    patches = work.patches?.text
    (self.reference, referenceHash) = (reference.path, reference.hash)
    referenceCount = reference.count
    version = LatentFlow.version
    (ranks, threadsPerRank) = (work.job.communicator.size, work.job.threads)
  }

  /// nil where there is none, or none that can be read: its rows are then made again.
  static func read(_ path: String) -> SweepReport? {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return FileManager.default.contents(atPath: path)
      .flatMap { try? decoder.decode(SweepReport.self, from: $0) }
  }

  /// Takes rows of an earlier call against the same reference with the same number of samples.
  mutating func adopt(_ earlier: SweepReport) {
    guard (earlier.referenceHash, earlier.count) == (referenceHash, count),
      earlier.referenceCount == referenceCount
    else { return }
    rows = earlier.rows
  }

  var json: String { reportJSON(self) }

  /// For a person.
  var text: String {
    var table = TextTable(rightAligned: [2, 3, 5, 6])
    table.append("solver", "setting", "cfg", "distance", "95 %", "NFE", "images/s")
    for row in rows {
      let interval =
        row.lower.flatMap { lower in
          row.upper.map { String(format: "%.4g … %.4g", lower, $0) }
        } ?? ""
      table.append(
        row.solver, row.setting, String(format: "%g", row.guidance),
        String(format: "%.4g", row.distance), interval,
        String(format: "%.1f", row.evaluationsMean), String(format: "%.3g", row.imagesPerSecond))
    }
    return table.text() + "\(distanceName) of \(count) samples; reference \(reference)\n"
  }

  /// Distance against evaluations; the font has no accents.
  var plot: LinePlot {
    let isInception = distanceName.hasSuffix("FID")
    return SolverSweep.plot(
      rows.map {
        SolverSweep.Row(
          solver: $0.solver, setting: $0.setting, guidance: $0.guidance,
          evaluations: $0.evaluationsMean, imagesPerSecond: $0.imagesPerSecond,
          distances: [$0.distance])
      }, column: 0, title: "\(count) samples, seed \(seed)",
      named: isInception ? distanceName : "Frechet distance")
  }
}
