import Diagnostics
import FlowData
import FlowMetrics
import FlowTensor

/// Replays a case of metrics (`G_*`): Fréchet distances and moments, or image metrics.
///
/// - Returns: one row per output.
/// - Throws: `UserError` of status `badData` for a case of neither.
public func replayMetricsCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  if let pairs = c.config["pairs"]?.array?.compactMap(\.string) {
    return try pairs.map { try frechetRow($0, c) } + momentRows(c)
  }
  guard let splits = c.config["splits"]?.array?.compactMap(\.int) else {
    throw UserError(
      .badData, c.file.path, at: "header entry config", found: "\(c.config.kind)",
      expected: "pairs of statistics, or splits of an Inception Score")
  }
  return try scoreRows(splits, c) + imageRows(c)
}

/// The error is relative to the traces: the distance may be a small difference of them.
private func frechetRow(_ name: String, _ c: ReferenceCase) throws -> ReplayRow {
  func moments(_ index: Int) throws -> FeatureMoments {
    FeatureMoments(
      count: 0, mean: try c.doubles(.inputs, "\(name).mu\(index)"),
      covariance: try c.doubles(.inputs, "\(name).sigma\(index)"))
  }
  let (a, b) = (try moments(1), try moments(2))
  let expected = try c.doubles(.outputs, name)[0]
  let traces = [a, b].reduce(0.0) { sum, m in
    (0..<m.dimension).reduce(sum) { $0 + m.covariance[$1 * m.dimension + $1] }
  }
  let error = abs(frechetDistance(a, b) - expected) / max(traces, expected)
  return ReplayRow(name: name, error: error, tolerance: 1e-6)
}

private func momentRows(_ c: ReferenceCase) throws -> [ReplayRow] {
  let features = try c.input("features")
  var stream = MomentStream(dimension: features.shape[1])
  stream.append(features)
  let found = stream.moments()
  return [
    try c.row("features.mu", found.mean, unstated: 1e-9),
    try c.row("features.sigma", found.covariance, unstated: 1e-9),
  ].compactMap { $0 }
}

/// The reference sums these in float32.
private func scoreRows(_ splits: [Int], _ c: ReferenceCase) throws -> [ReplayRow] {
  let probabilities = try c.input("probs")
  return try splits.compactMap { parts in
    let score = InceptionScore(probabilities: probabilities, splits: parts)
    return try c.row("is_splits\(parts)", [score.mean, score.deviation], unstated: 1e-6)
  }
}

/// Squared errors are those of the images as they are, in [−1, 1]; the other figures those of
/// images brought to [0, 1].
private func imageRows(_ c: ReferenceCase) throws -> [ReplayRow] {
  let (found, target) = (nhwc(try c.input("pred")), nhwc(try c.input("target")))
  let (x, y) = (inUnitRange(found), inUnitRange(target))
  let levels = nchw(found).values.map { Int(ToneMap.truncating.level($0)) }
  return [
    try c.row("mse", [mean(meanSquaredErrors(found, target))], unstated: 1e-5),
    try c.row("psnr", [mean(peakSignalToNoise(x, y))], unstated: 1e-5),
    try c.row("ssim", [mean(structuralSimilarity(x, y))], unstated: 1e-5),
    try c.row(exactly: "pred_uint8", levels),
  ].compactMap { $0 }
}

private func inUnitRange(_ image: Tensor) -> Tensor {
  Tensor(image.shape, image.values.map { ($0 + 1) / 2 })
}

private func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
