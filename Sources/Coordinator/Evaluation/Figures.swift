import ArgumentParser
import Diagnostics
import FlowComm
import FlowMetrics
import FlowTensor
import Worker

/// Which figures an evaluation computes.
enum FigureKind: String, CaseIterable {
  case frechet, kid
  case precisionRecall = "precision-recall"
  case inceptionScore = "inception-score"

  /// Moments do not suffice.
  var needsRealFeatures: Bool { self == .kid || self == .precisionRecall }
}

/// `--figures` and what they depend on.
struct FigureOptions: ParsableArguments {
  /// Bińkowski et al. 2018, arXiv 1801.01401.
  static let standardSubset = 1_000

  @Option(
    name: .customLong("figures"),
    help: "Between commas: \(FigureKind.allCases.map(\.rawValue).joined(separator: ", ")).")
  var names = "frechet"
  @Option(help: "Vectors of a subset of KID. (default: 1000, or all where there are fewer)")
  var kidSubset: Int?
  @Option(help: "The neighbour that the balls of precision and recall reach to.")
  var neighbor = 3

  func validate() throws {
    if let kidSubset, kidSubset < 2 {
      throw ValidationError("--kid-subset \(kidSubset): expected at least 2.")
    }
    guard neighbor >= 1 else {
      throw ValidationError("--neighbor \(neighbor): expected at least 1.")
    }
    guard try !kinds().isEmpty else { throw ValidationError("--figures: name at least one.") }
  }

  func kinds() throws -> [FigureKind] {
    try names.split(separator: ",").map { word in
      guard let kind = FigureKind(rawValue: String(word)) else {
        let names = FigureKind.allCases.map(\.rawValue)
        let near = nearestName(to: String(word), among: names)
        throw ValidationError(
          "--figures \(word): unknown"
            + (near.map { "; did you mean \($0)?" }
              ?? "; expected \(names.joined(separator: ", "))."))
      }
      return kind
    }
  }

  /// Whether there are enough feature vectors for every figure.
  ///
  /// - Parameter real: vectors of the reference; nil where it is stored moments.
  func check(_ extractor: FeatureExtractor, samples: Int, real: Int?) throws {
    let kinds = try kinds()
    if kinds.contains(.inceptionScore), !extractor.isInception {
      throw UserError(
        .usage, "--figures", found: "inception-score on \(extractor.name)",
        expected: "--inception FILE: the score is of that network's classes")
    }
    guard let real else {
      guard let kind = kinds.first(where: \.needsRealFeatures) else { return }
      throw UserError(
        .usage, "--figures", found: "\(kind.rawValue) with stored moments",
        expected: "a data set as --reference: this figure needs the real images")
    }
    let fewest = min(samples, real)
    let counts = "\(samples) samples and \(real) real images"
    if let kidSubset, kinds.contains(.kid), kidSubset > fewest {
      throw UserError(
        .usage, "--kid-subset", found: "\(kidSubset) of \(counts)", expected: "at most \(fewest)")
    }
    if kinds.contains(.precisionRecall), neighbor >= fewest {
      throw UserError(
        .usage, "--neighbor", found: "neighbour \(neighbor) among \(counts)",
        expected: "more than \(neighbor) of each")
    }
  }
}

/// Figures that the ranks compute together, because they compare all samples with all real images.
struct ComparedFigures {
  var kernel: (distance: KernelDistance, subset: Int)?
  var manifolds: PrecisionRecall?

  /// Collective: those that were asked for.
  ///
  /// - Parameter real, fake: features, on rank 0; nil elsewhere.
  init(
    _ options: FigureOptions, real: Tensor?, fake: Tensor?, seed: UInt64,
    _ communicator: any Communicator
  ) throws {
    let kinds = try options.kinds()
    guard kinds.contains(where: \.needsRealFeatures) else { return }
    let comparison = try FeatureComparison(real: real, fake: fake, communicator)
    if kinds.contains(.kid) {
      let size =
        options.kidSubset ?? min(FigureOptions.standardSubset, comparison.fewest)
      kernel = (try comparison.kernelDistance(subsetSize: size, seed: seed), size)
    }
    if kinds.contains(.precisionRecall) {
      manifolds = try comparison.precisionRecall(neighbor: options.neighbor)
    }
  }
}

/// Computes figures from features on rank 0.
struct FigureComputation {
  let extractor: FeatureExtractor
  let patches: PatchCrops?
  let options: FigureOptions
  let reference: ReferenceStatistics
  /// Rows of a work item.
  let itemRows: Int
  let seed: UInt64

  /// The name under which the Fréchet distance is reported.
  var distanceName: String { (patches == nil ? "" : "patch-") + extractor.distanceName }

  /// - Parameters:
  ///   - features: of the samples in index order, [N, D]
  ///   - compared: what the ranks made of them together.
  func callAsFunction(
    _ features: Tensor, _ compared: ComparedFigures
  ) throws -> [String: EvaluationReport.Figure] {
    var figures: [String: EvaluationReport.Figure] = [:]
    let prefix = patches == nil ? "" : "patch-"
    for kind in try options.kinds() {
      switch kind {
      case .frechet: figures[distanceName] = frechet(features)
      case .kid:
        guard let (found, size) = compared.kernel else { continue }
        figures[prefix + (extractor.isInception ? "KID" : "kernel distance")] = .init(
          value: found.mean, standardError: found.standardError,
          settings: "100 subsets of \(size), cubic kernel")
      case .precisionRecall:
        guard let found = compared.manifolds else { continue }
        let settings = "neighbour \(options.neighbor)"
        figures[prefix + "precision"] = .init(value: found.precision, settings: settings)
        figures[prefix + "recall"] = .init(value: found.recall, settings: settings)
      case .inceptionScore: figures[prefix + "inception score"] = score(features)
      }
    }
    return figures
  }

  func frechet(_ features: Tensor) -> EvaluationReport.Figure {
    guard features.shape[0] > itemRows else {
      return .init(value: frechetDistance(momentsOf(features), reference.moments))
    }
    let interval = FrechetInterval(
      features: features, itemRows: itemRows, reference: reference.moments, seed: seed)
    return .init(
      value: interval.estimate, lower: interval.lower, upper: interval.upper,
      standardError: interval.standardError,
      settings: "95 % interval, bootstrap over items of \(itemRows)")
  }

  private func score(_ features: Tensor) -> EvaluationReport.Figure? {
    guard case .inception(let network, _) = extractor else { return nil }
    let n = features.shape[0]
    let found = InceptionScore(
      logits: network.logits(pool: features), splits: min(10, n))
    return .init(
      value: found.mean, standardError: found.deviation, settings: "\(min(10, n)) splits")
  }
}
