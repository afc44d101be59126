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

/// Computes figures from features on rank 0.
struct FigureComputation {
  let extractor: FeatureExtractor
  let reference: ReferenceStatistics
  let itemSize: Int
  let seed: UInt64

  /// - Parameter features: of the samples in index order, [N, D]
  func callAsFunction(
    _ features: Tensor, _ kinds: [FigureKind]
  ) -> [String: EvaluationReport.Figure] {
    var figures: [String: EvaluationReport.Figure] = [:]
    for kind in kinds {
      switch kind {
      case .frechet: figures[extractor.distanceName] = frechet(features)
      case .kid: figures[extractor.isInception ? "KID" : "kernel distance"] = kernel(features)
      case .precisionRecall:
        guard let real = reference.features else { continue }
        let found = PrecisionRecall(real: real, fake: features)
        figures["precision"] = .init(value: found.precision, settings: "3 neighbours")
        figures["recall"] = .init(value: found.recall, settings: "3 neighbours")
      case .inceptionScore: figures["inception score"] = score(features)
      }
    }
    return figures
  }

  private func frechet(_ features: Tensor) -> EvaluationReport.Figure {
    guard features.shape[0] > itemSize else {
      return .init(value: frechetDistance(momentsOf(features), reference.moments))
    }
    let interval = FrechetInterval(
      features: features, itemRows: itemSize, reference: reference.moments, seed: seed)
    return .init(
      value: interval.estimate, lower: interval.lower, upper: interval.upper,
      standardError: interval.standardError,
      settings: "95 % interval, bootstrap over items of \(itemSize)")
  }

  private func kernel(_ features: Tensor) -> EvaluationReport.Figure? {
    guard let real = reference.features else { return nil }
    let size = min(1000, real.shape[0], features.shape[0])
    let found = KernelDistance(
      real: real, fake: features, subsetSize: size, seed: seed)
    return .init(
      value: found.mean, standardError: found.standardError,
      settings: "100 subsets of \(size), cubic kernel")
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
