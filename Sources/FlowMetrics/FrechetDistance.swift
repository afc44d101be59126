import CBLAS

/// Mean and covariance of feature vectors, in Double.
public struct FeatureMoments: Equatable, Sendable {
  public let count: Int
  /// [D]
  public let mean: [Double]
  /// [D, D], divisor count − 1
  public let covariance: [Double]

  public var dimension: Int { mean.count }

  /// - Parameter features: rows of D features each; at least two.
  public init(_ features: [[Float]]) {
    precondition(features.count >= 2, "moments of \(features.count) feature vectors")
    let d = features[0].count
    var mean = [Double](repeating: 0, count: d)
    for row in features { for i in 0..<d { mean[i] += Double(row[i]) } }
    for i in 0..<d { mean[i] /= Double(features.count) }
    var covariance = [Double](repeating: 0, count: d * d)
    for row in features {
      for i in 0..<d {
        let a = Double(row[i]) - mean[i]
        for j in 0...i { covariance[i * d + j] += a * (Double(row[j]) - mean[j]) }
      }
    }
    for i in 0..<d {
      for j in 0...i {
        covariance[i * d + j] /= Double(features.count - 1)
        covariance[j * d + i] = covariance[i * d + j]
      }
    }
    self.init(count: features.count, mean: mean, covariance: covariance)
  }

  public init(count: Int, mean: [Double], covariance: [Double]) {
    precondition(
      covariance.count == mean.count * mean.count,
      "a covariance of \(covariance.count) elements for \(mean.count) features")
    (self.count, self.mean, self.covariance) = (count, mean, covariance)
  }
}

/// Fréchet distance between two Gaussians: ‖μ1 − μ2‖² + tr(Σ1 + Σ2 − 2·(Σ1·Σ2)^½).
/// Dowson & Landau 1982; Heusel et al. 2017, arXiv 1706.08500, eq. 6.
///
/// The trace of the root is that of (S·Σ2·S)^½ with S = Σ1^½, which is symmetric and positive
/// semi-definite: two symmetric eigen-decompositions, no complex round-off, singular covariances
/// included.
public func frechetDistance(_ a: FeatureMoments, _ b: FeatureMoments) -> Double {
  precondition(
    a.dimension == b.dimension, "Fréchet distance of \(a.dimension) and \(b.dimension) features")
  let d = a.dimension
  let shift = zip(a.mean, b.mean).reduce(0.0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
  let root = squareRoot(a.covariance, d)
  let inner = multiply(multiply(root, b.covariance, d), root, d)
  let traceOfRoot = eigenvalues(symmetrized(inner, d), d).reduce(0.0) {
    $0 + max(0, $1).squareRoot()
  }
  return shift + trace(a.covariance, d) + trace(b.covariance, d) - 2 * traceOfRoot
}

private func trace(_ a: [Double], _ d: Int) -> Double {
  (0..<d).reduce(0.0) { $0 + a[$1 * d + $1] }
}

private func symmetrized(_ a: [Double], _ d: Int) -> [Double] {
  var result = a
  for i in 0..<d { for j in 0..<d { result[i * d + j] = 0.5 * (a[i * d + j] + a[j * d + i]) } }
  return result
}

private func multiply(_ a: [Double], _ b: [Double], _ d: Int) -> [Double] {
  var c = [Double](repeating: 0, count: d * d)
  let n = blasint(d)
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, &c, n)
  return c
}

/// V·diag(√max(λ, 0))·Vᵀ
private func squareRoot(_ a: [Double], _ d: Int) -> [Double] {
  let (values, vectors) = eigen(a, d, vectors: true)
  var scaled = vectors  // row k is eigenvector k
  for k in 0..<d {
    let factor = max(0, values[k]).squareRoot()
    for i in 0..<d { scaled[k * d + i] *= factor }
  }
  var root = [Double](repeating: 0, count: d * d)
  let n = blasint(d)
  cblas_dgemm(
    CblasRowMajor, CblasTrans, CblasNoTrans, n, n, n, 1, scaled, n, vectors, n, 0, &root, n)
  return root
}

private func eigenvalues(_ a: [Double], _ d: Int) -> [Double] { eigen(a, d, vectors: false).values }

/// Eigenvalues in rising order and, row by row, the eigenvectors of a symmetric matrix.
private func eigen(
  _ a: [Double], _ d: Int, vectors: Bool
) -> (values: [Double], vectors: [Double]) {
  var matrix = a
  var values = [Double](repeating: 0, count: d)
  var n = Int32(d)
  var info: Int32 = 0
  var size: Int32 = -1
  var best = 0.0
  let job: [CChar] = [vectors ? 86 : 78]  // 'V' or 'N'
  let triangle: [CChar] = [85]  // 'U'
  dsyev_(job, triangle, &n, &matrix, &n, &values, &best, &size, &info)
  size = Int32(best)
  var work = [Double](repeating: 0, count: max(1, Int(size)))
  dsyev_(job, triangle, &n, &matrix, &n, &values, &work, &size, &info)
  precondition(info == 0, "dsyev of \(d)×\(d): info \(info)")
  return (values, matrix)
}
