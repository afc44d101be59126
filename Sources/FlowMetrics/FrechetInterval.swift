import FlowTensor

/// A confidence interval of the Fréchet distance of samples to fixed statistics: a bootstrap over
/// the work items that the samples were drawn in.
///
/// A sample's influence is what the distance changes by, to first order, where its weight grows
/// (Hampel 1974; the infinitesimal jackknife of Efron 1982, chapter 6). Resampled items add up
/// their influences, so that thousands of resamples cost two decompositions and one pass over the
/// features instead of one distance each. The bias that the distance has at finite N, and that a
/// plain bootstrap would double, does not enter: the interval says how far another draw of N
/// samples may lie.
public struct FrechetInterval: Equatable, Sendable {
  public let estimate: Double
  public let lower: Double
  public let upper: Double
  /// Deviation of the resampled distances.
  public let standardError: Double

  /// - Parameters:
  ///   - features: of the samples by index, [N, D]
  ///   - itemRows: samples per work item, the last item holding what is left; at least two items.
  ///   - confidence: share of resamples inside the interval.
  public init(
    features: Tensor, itemRows: Int, reference: FeatureMoments, confidence: Double = 0.95,
    resamples: Int = 2_000, seed: UInt64 = 0
  ) {
    precondition(
      features.shape.rank == 2 && features.shape[1] == reference.dimension && itemRows >= 1
        && features.shape[0] > itemRows && resamples >= 2 && 0 < confidence && confidence < 1,
      "an interval of features \(features.shape) in items of \(itemRows), \(resamples) resamples")
    var stream = MomentStream(dimension: reference.dimension)
    stream.append(features)
    let moments = stream.moments()
    let estimate = frechetDistance(moments, reference)
    let influences = frechetInfluences(features, moments, reference)

    let count = features.shape[0]
    let items = stride(from: 0, to: count, by: itemRows).map { first in
      let rows = first..<min(count, first + itemRows)
      return (sum: rows.reduce(0.0) { $0 + influences[$1] }, count: rows.count)
    }
    let shifts = (0..<resamples).map { resample in
      let draw = Philox(seed: seed, stream: .resample, step: 1, index: resample)
      var (sum, drawn) = (0.0, 0)
      for i in items.indices {
        let item = items[draw.integer(below: items.count, i)]
        sum += item.sum
        drawn += item.count
      }
      return sum / Double(drawn)
    }.sorted()
    let mean = shifts.reduce(0, +) / Double(resamples)
    let squares = shifts.reduce(0.0) { $0 + ($1 - mean) * ($1 - mean) }
    let tail = (1 - confidence) / 2
    self.estimate = estimate
    // To first order the interval is even about the estimate, where the distance ends at 0.
    lower = max(0, estimate + quantile(shifts, tail))
    upper = estimate + quantile(shifts, 1 - tail)
    standardError = (squares / Double(resamples - 1)).squareRoot()
  }
}

/// The influence of each row on the distance of `moments` to `reference`:
/// 2(μ − m)·(x − μ) + (x − μ)ᵀ(I − G)(x − μ) − tr((I − G)Σ) with G = A(AΣA)^−½A, A = C^½,
/// the gradient of 2·tr((AΣA)^½) with respect to Σ.
func frechetInfluences(
  _ features: Tensor, _ moments: FeatureMoments, _ reference: FeatureMoments
) -> [Double] {
  let (n, d) = (features.shape[0], features.shape[1])
  let gradient = covarianceGradient(moments, reference)
  var constant = 0.0
  for i in 0..<d * d { constant += gradient[i] * moments.covariance[i] }
  let shift = zip(moments.mean, reference.mean).map { 2 * ($0 - $1) }
  var result: [Double] = []
  result.reserveCapacity(n)
  for rows in MomentStream.blocks(of: n) {
    var centred = [Double](repeating: 0, count: rows.count * d)
    for (k, r) in rows.enumerated() {
      for c in 0..<d { centred[k * d + c] = Double(features.base[r * d + c]) - moments.mean[c] }
    }
    let turned = product(centred, gradient, m: rows.count, n: d, k: d)
    for k in 0..<rows.count {
      var value = -constant
      for c in 0..<d { value += (shift[c] + turned[k * d + c]) * centred[k * d + c] }
      result.append(value)
    }
  }
  withExtendedLifetime(features) {}
  return result
}

/// I − A(AΣA)^−½A; eigenvalues of AΣA that are zero within round-off have no root's inverse and
/// are left out. [D, D]
private func covarianceGradient(
  _ moments: FeatureMoments, _ reference: FeatureMoments
) -> [Double] {
  let d = reference.dimension
  let root = poweredSymmetric(reference.covariance, d) { $0.squareRoot() }
  let inner = product(
    product(root, moments.covariance, m: d, n: d, k: d), root, m: d, n: d, k: d)
  let inverse = poweredSymmetric(inner, d) { 1 / $0.squareRoot() }
  var result = product(product(root, inverse, m: d, n: d, k: d), root, m: d, n: d, k: d)
  for i in 0..<d * d { result[i] = -result[i] }
  for i in 0..<d { result[i * d + i] += 1 }
  return result
}

/// V·diag(f(λ))·Vᵀ over the eigenvalues that are not zero within round-off.
private func poweredSymmetric(_ a: [Double], _ d: Int, _ f: (Double) -> Double) -> [Double] {
  let (values, vectors) = symmetricEigen(a, d, vectors: true)
  let limit = resolution(of: values)
  var scaled = vectors
  for k in 0..<d {
    let factor = values[k] > limit ? f(values[k]) : 0
    for i in 0..<d { scaled[k * d + i] *= factor }
  }
  return product(scaled, vectors, transposingA: true, m: d, n: d, k: d)
}

/// Linear between neighbours, of rising values.
private func quantile(_ values: [Double], _ share: Double) -> Double {
  let place = share * Double(values.count - 1)
  let lower = Int(place)
  let upper = min(values.count - 1, lower + 1)
  return values[lower] + (place - Double(lower)) * (values[upper] - values[lower])
}
