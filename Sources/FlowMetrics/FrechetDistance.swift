import CBLAS

/// Fréchet distance between two Gaussians: ‖μ1 − μ2‖² + tr(Σ1 + Σ2 − 2·(Σ1·Σ2)^½).
/// Dowson & Landau 1982; Heusel et al. 2017, arXiv 1706.08500, eq. 6.
///
/// With Σi = Fiᵀ·Fi the trace of the root is the sum of the singular values of F1·F2ᵀ. Unlike the
/// root of the product it has no complex part, and a zero eigenvalue costs no digits: round-off
/// stays round-off, where the root of an eigenvalue that should vanish is 10⁻⁸.
public func frechetDistance(_ a: FeatureMoments, _ b: FeatureMoments) -> Double {
  frechetDistance(CovarianceFactor(a), CovarianceFactor(b))
}

/// The same for factors at hand: a reference that is compared with many times is factored once.
public func frechetDistance(_ a: CovarianceFactor, _ b: CovarianceFactor) -> Double {
  precondition(
    a.dimension == b.dimension, "Fréchet distance of \(a.dimension) and \(b.dimension) features")
  let shift = zip(a.mean, b.mean).reduce(0.0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
  let cross = product(
    a.rows, b.rows, transposingB: true, m: a.rank, n: b.rank, k: a.dimension)  // [r1, r2]
  let traceOfRoot = singularValues(cross, m: a.rank, n: b.rank).reduce(0, +)
  return shift + a.trace + b.trace - 2 * traceOfRoot
}

/// A mean, and a covariance as Fᵀ·F by its eigen-decomposition.
public struct CovarianceFactor: Sendable {
  public let mean: [Double]
  /// Eigenvectors times the roots of their eigenvalues, [rank, D].
  let rows: [Double]
  let rank: Int
  /// Of the covariance.
  let trace: Double

  public var dimension: Int { mean.count }

  public init(_ m: FeatureMoments) {
    let d = m.dimension
    let (values, vectors) = symmetricEigen(m.covariance, d, vectors: true)
    let limit = resolution(of: values)
    let first = values.firstIndex { $0 > limit } ?? d
    var rows = Array(vectors[(first * d)...])
    for k in first..<d {
      let root = values[k].squareRoot()
      for i in 0..<d { rows[(k - first) * d + i] *= root }
    }
    (mean, self.rows, rank, trace) = (m.mean, rows, d - first, FlowMetrics.trace(m.covariance, d))
  }
}

/// What an eigenvalue computed in Double may differ by: smaller ones are indistinguishable from 0.
func resolution(of eigenvalues: [Double]) -> Double {
  let largest = eigenvalues.reduce(0.0) { max($0, abs($1)) }
  return 8 * Double.ulpOfOne * largest * Double(eigenvalues.count).squareRoot()
}
