import Diagnostics

/// Whether stored statistics can serve as a reference; to be asked before anything is sampled.
///
/// - Parameters:
///   - dimension: width of the features that will be compared with them.
///   - file: named in errors.
/// - Throws: `UserError` of status `badData`: another dimension, a number that is not finite, a
///   covariance that is not symmetric or that has an eigenvalue below −10⁻⁵ times the largest.
public func validateStatistics(
  _ m: FeatureMoments, dimension: Int, file: String
) throws {
  func fail(
    _ place: String, _ found: String, _ expected: String, _ advice: String? = nil
  ) -> UserError {
    UserError(.badData, file, at: place, found: found, expected: expected, advice: advice)
  }
  let d = m.dimension
  guard d == dimension else {
    throw fail(
      "mean", "statistics of \(d) features", "\(dimension) features",
      "compute them with the network that the samples are judged by")
  }
  if let i = m.mean.firstIndex(where: { !$0.isFinite }) {
    throw fail("mean, element \(i)", "\(m.mean[i])", "finite numbers")
  }
  if let i = m.covariance.firstIndex(where: { !$0.isFinite }) {
    throw fail(
      "covariance, row \(i / d), column \(i % d)", "\(m.covariance[i])", "finite numbers")
  }
  let scale = (0..<d).reduce(0.0) { max($0, abs(m.covariance[$1 * d + $1])) }
  for i in 0..<d {
    for j in 0..<i where abs(m.covariance[i * d + j] - m.covariance[j * d + i]) > 1e-5 * scale {
      throw fail(
        "covariance, row \(i), column \(j)",
        "\(m.covariance[i * d + j]), but \(m.covariance[j * d + i]) across the diagonal",
        "a symmetric matrix")
    }
  }
  let values = symmetricEigen(m.covariance, d, vectors: false).values
  let largest = max(abs(values[0]), abs(values[d - 1]))
  guard values[0] >= -1e-5 * largest else {
    throw fail(
      "covariance", "smallest eigenvalue \(values[0]), largest \(values[d - 1])",
      "a positive semi-definite matrix")
  }
}
