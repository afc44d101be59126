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

  var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return ((try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}") + "\n"
  }
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
      ("reference", referenceHash),
    ]
  }
}

extension Provenance {
  init(
    _ loaded: LoadedModel, _ plan: SamplingPlan, _ evaluations: [Int], _ pixels: PixelPipeline,
    _ extractor: FeatureExtractor, _ reference: ReferenceStatistics, _ job: Job, trained: Bool,
    seconds: Double, computed: Int
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
    resize = extractor.resize
    features = extractor.name
    featuresHash = extractor.hash
    self.reference = reference.path
    referenceHash = reference.hash
    referenceCount = reference.count
    version = LatentFlow.version
    ranks = job.communicator.size
    threadsPerRank = job.threads
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
      + "\(p.features); \(p.pixels); reference \(p.reference)\nall of it: \(file)\n"
  }
}

/// Two reports side by side.
struct Comparison {
  let first, second: EvaluationReport

  /// What was made differently and may not be, as text: «solver: heun, 20 steps | euler, 20 steps».
  ///
  /// - Parameter varied: names of what is meant to differ.
  func differences(except varied: Set<String>) -> [String] {
    zip(first.provenance.comparable, second.provenance.comparable).compactMap { a, b in
      a.value == b.value || varied.contains(a.name) ? nil : "\(a.name): \(a.value) | \(b.value)"
    }
  }

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
