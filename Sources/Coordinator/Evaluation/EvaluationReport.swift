import Diagnostics
import FlowData
import Foundation
import Worker

/// Figures of one evaluation and how they were made: the file that `evaluate` writes and `compare`
/// reads.
struct EvaluationReport: Codable, Equatable {
  /// One figure with what is known of its uncertainty.
  struct Figure: Codable, Equatable {
    var value: Double
    /// Ends of the 95 % interval.
    var lower: Double?
    var upper: Double?
    var standardError: Double?
    /// Of the figure itself: splits, neighbours, subsets.
    var settings: String?
  }

  var figures: [String: Figure]
  var provenance: Provenance

  static func read(_ path: String) throws -> EvaluationReport {
    try Preflight.requireFile(path, "a report of `latentflow evaluate`")
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    do {
      return try decoder.decode(
        EvaluationReport.self, from: FileManager.default.contents(atPath: path) ?? Data())
    } catch {
      throw UserError(
        .badData, path, found: "\(error)", expected: "a report of `latentflow evaluate`")
    }
  }

  var json: String { reportJSON(self) }
}

/// Everything that a figure depends on.
struct Provenance: Codable, Equatable {
  // What is judged.
  var model: String
  var modelHash: String
  var step: Int
  var weights: String
  // How it was sampled.
  var count: Int
  var seed: UInt64
  var solver: String
  var guidance: String
  var labels: String
  var itemSize: Int
  var evaluationsMean: Double
  // How it was judged.
  var codecHash: String
  var pixels: String
  var resize: String
  var features: String
  var featuresHash: String
  /// Crops that were judged; nil: whole pictures.
  var patches: String?
  var reference: String
  var referenceHash: String
  var referenceCount: Int?
  // Where, when, how fast.
  var version: String
  var ranks: Int
  var threadsPerRank: Int
  var seconds: Double
  var imagesPerSecond: Double
  var date: String

  /// Names and values of what must agree before two figures may be compared.
  var comparable: [(name: String, value: String)] {
    [
      ("count", "\(count)"), ("seed", "\(seed)"), ("solver", solver), ("guidance", guidance),
      ("labels", labels), ("weights", weights), ("codec", codecHash), ("pixels", pixels),
      ("resize", resize), ("features", features), ("features-hash", featuresHash),
      ("patches", patches ?? "none"), ("reference", referenceHash),
      ("reference-count", referenceCount.map { "\($0)" } ?? "not known"),
    ]
  }
}

extension Provenance {
  /// - Parameters:
  ///   - evaluations: of the field for each sample.
  ///   - seconds, computed: what this call took, and how many samples it drew itself.
  init(
    _ loaded: LoadedModel, _ plan: SamplingPlan, evaluations: [Int], _ pixels: PixelPipeline,
    _ work: FeatureWork, _ reference: ReferenceStatistics, trained: Bool, seconds: Double,
    computed: Int
  ) {
    model = loaded.file
    modelHash = loaded.hash
    step = loaded.header.step
    weights = trained ? "trained" : "running average"
    count = evaluations.count
    seed = plan.seed
    solver = plan.solver.description
    guidance = plan.guidanceText
    labels = "\(plan.labels)"
    itemSize = plan.itemSize
    evaluationsMean = Double(evaluations.reduce(0, +)) / Double(max(1, evaluations.count))
    codecHash = loaded.firstStage.hash
    self.pixels = pixels.description
    resize = work.extractor.resize
    features = work.extractor.name
    featuresHash = work.extractor.hash
    patches = work.patches?.text
    self.reference = reference.path
    referenceHash = reference.hash
    referenceCount = reference.count
    version = LatentFlow.version
    ranks = work.job.communicator.size
    threadsPerRank = work.job.threads
    self.seconds = seconds
    imagesPerSecond = seconds > 0 ? Double(computed) / seconds : 0
    date = ISO8601DateFormatter().string(from: Date())
  }
}

extension EvaluationReport {
  /// For a person: figures, then how they were made.
  func text(_ file: String) -> String {
    var table = TextTable()
    for (name, figure) in figures.sorted(by: { $0.key < $1.key }) {
      var uncertainty = ""
      if let lower = figure.lower, let upper = figure.upper {
        uncertainty = String(format: "[%.5g, %.5g]", lower, upper)
      } else if let error = figure.standardError {
        uncertainty = String(format: "± %.2g", error)
      }
      table.append(name, String(format: "%.5g", figure.value), uncertainty, figure.settings ?? "")
    }
    let p = provenance
    return table.text()
      + "\(p.count) samples, seed \(p.seed); \(p.solver); guidance \(p.guidance); "
      + String(format: "%.1f evaluations each\n", p.evaluationsMean)
      + "\(p.features); \(p.patches.map { "crops, \($0); " } ?? "")\(p.pixels); "
      + "reference \(p.reference)\nall of it: \(file)\n"
  }
}

/// Two reports side by side.
struct Comparison {
  let first, second: EvaluationReport

  /// What was made differently and may not be, as text: «solver: heun, 20 steps | euler, 20 steps».
  ///
  /// - Parameter varied: names of what is meant to differ.
  func differences(except varied: Set<String>) -> [String] {
    let made = zip(first.provenance.comparable, second.provenance.comparable).compactMap { a, b in
      a.value == b.value || varied.contains(a.name) ? nil : "\(a.name): \(a.value) | \(b.value)"
    }
    if varied.contains(Self.settingsName) { return made }
    let settings = first.figures.keys.sorted().compactMap { name -> String? in
      guard let a = first.figures[name], let b = second.figures[name], a.settings != b.settings
      else { return nil }
      return "\(name): \(a.settings ?? "no interval") | \(b.settings ?? "no interval")"
    }
    return made + settings
  }

  /// What `--vary` calls the settings of single figures.
  static let settingsName = "settings"

  /// Everything that `--vary` can name.
  var names: [String] { first.provenance.comparable.map(\.name) + [Self.settingsName] }

  /// Figures that both hold, with their difference.
  var rows: [(name: String, first: Double, second: Double, difference: Double, note: String)] {
    first.figures.keys.sorted().compactMap { name in
      guard let a = first.figures[name], let b = second.figures[name] else { return nil }
      var note = ""
      if let al = a.lower, let au = a.upper, let bl = b.lower, let bu = b.upper {
        note = al > bu || bl > au ? "intervals do not overlap" : "intervals overlap"
      }
      return (name, a.value, b.value, b.value - a.value, note)
    }
  }
}
