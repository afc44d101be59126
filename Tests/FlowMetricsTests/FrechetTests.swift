import Diagnostics
import FlowMetrics
import FlowTensor
import Foundation
import Testing

@Suite("Fréchet distance", .serialized)
struct FrechetTests {
  private func moments(_ features: Tensor) -> FeatureMoments {
    var stream = MomentStream(dimension: features.shape[1])
    stream.append(features)
    return stream.moments()
  }

  /// Of scipy's sqrtm for full covariances; for singular ones of the singular values of the centred
  /// features (sqrtm itself is 7·10⁻⁹ off there).
  @Test("equals other programs'", arguments: [
    (40, 50, 0.05736391567154474, 1e-12), (4, 5, 0.7573010322415714, 1e-13),
  ])
  func values(_ count: Int, _ other: Int, _ expected: Double, _ bound: Double) {
    let (x, y) = (formulaFeatures(count), formulaFeatures(other, a: 2, b: 3))
    #expect(relative(frechetDistance(moments(x), moments(y)), expected) < bound)
    #expect(relative(frechetDistance(moments(y), moments(x)), expected) < bound)
  }

  /// Covariances with common eigenvectors: the distance is Σ(√λ − √μ)² over eigenvalues; a root
  /// of the product would miss it by 10⁻⁸ for each zero among them.
  /// What round-off of the matrices leaves is about 10⁻¹⁵ / √small.
  @Test("zero eigenvalues cost no digits", arguments: [
    (0.0, 1e-12), (1e-12, 1e-7), (1e-9, 1e-9), (1e-4, 1e-11),
  ])
  func nearlySingular(_ small: Double, _ bound: Double) {
    let d = 48
    var first = [Double](repeating: small, count: d)
    var second = first
    for i in 0..<16 { first[i] = Double(1 + i) }
    for i in stride(from: 0, to: d, by: 4) { second[i] = 2 + Double(i) / 8 }
    let expected = zip(first, second).reduce(0.0) { sum, pair in
      let difference = pair.0.squareRoot() - pair.1.squareRoot()
      return sum + difference * difference
    }
    let zeros = [Double](repeating: 0, count: d)
    let found = frechetDistance(
      FeatureMoments(count: 0, mean: zeros, covariance: reflected(first)),
      FeatureMoments(count: 0, mean: zeros, covariance: reflected(second)))
    #expect(relative(found, expected) < bound, "\(found), expected \(expected)")
  }

  /// Q·diag(λ)·Q with the reflection Q = 1 − 2uuᵀ.
  private func reflected(_ values: [Double]) -> [Double] {
    let d = values.count
    let raw = (0..<d).map { 1 + Double($0 * $0 % 7) }
    let norm = raw.reduce(0.0) { $0 + $1 * $1 }.squareRoot()
    let u = raw.map { $0 / norm }
    func q(_ i: Int, _ j: Int) -> Double { (i == j ? 1 : 0) - 2 * u[i] * u[j] }
    return (0..<d * d).map { n in
      (0..<d).reduce(0.0) { sum, k in sum + q(n / d, k) * values[k] * q(k, n % d) }
    }
  }

  @Test("the interval's error is that of resampled distances")
  func interval() {
    let (count, itemRows) = (1_200, 20)
    let features = Philox(seed: 4, stream: .noise).normal([count, 3])
    for i in 0..<count { features.base[3 * i] = 0.4 + 1.5 * features.base[3 * i] }
    let reference = FeatureMoments(
      count: 0, mean: [0, 0, 0], covariance: [1, 0.2, 0, 0.2, 1, 0, 0, 0, 1])
    let interval = FrechetInterval(
      features: features, itemRows: itemRows, reference: reference, resamples: 500)
    #expect(interval.estimate == frechetDistance(moments(features), reference))
    #expect(interval.lower < interval.estimate && interval.estimate < interval.upper)
    #expect(
      interval
        == FrechetInterval(
          features: features, itemRows: itemRows, reference: reference, resamples: 500))

    // The same by moments of items drawn with repetition.
    let distances = (0..<500).map { resample in
      let draw = Philox(seed: 9, stream: .resample, index: resample)
      var stream = MomentStream(dimension: 3)
      for i in 0..<count / itemRows {
        let item = draw.integer(below: count / itemRows, i)
        stream.append(features.base + item * itemRows * 3, count: itemRows)
      }
      return frechetDistance(stream.moments(), reference)
    }
    let mean = distances.reduce(0, +) / 500
    let squares = distances.reduce(0.0) { $0 + ($1 - mean) * ($1 - mean) }
    let deviation = (squares / 499).squareRoot()
    #expect(relative(interval.standardError, deviation) < 0.15, "\(interval), \(deviation)")
    #expect(relative(interval.upper - interval.lower, 3.92 * deviation) < 0.25)
  }

  @Test("the interval ends where distances do, at 0")
  func lowerEnd() {
    let features = Philox(seed: 2, stream: .noise).normal([64, 2])
    for i in 0..<64 { features.base[2 * i] *= 40 }
    let interval = FrechetInterval(
      features: features, itemRows: 4,
      reference: FeatureMoments(count: 0, mean: [0, 0], covariance: [1600, 0, 0, 1]))
    // Even about the estimate it would begin below.
    #expect(interval.upper > 2 * interval.estimate && interval.estimate > 0, "\(interval)")
    #expect(interval.lower == 0)
  }

  private static let wrong: [([Double], [Double], String)] = [
    ([0, 0, 0], [1, 0, 0, 0, 1, 0, 0, 0, 1], "statistics of 3 features; expected 2 features"),
    ([0, .nan], [1, 0, 0, 1], "mean, element 1: nan"),
    ([0, 0], [1, 0, .infinity, 1], "covariance, row 1, column 0: inf"),
    ([0, 0], [1, 0.5, 0.4, 1], "across the diagonal; expected a symmetric matrix"),
    ([0, 0], [1, 2, 2, 1], "smallest eigenvalue -"),
  ]

  @Test("statistics that cannot be a reference are refused", arguments: wrong)
  func refused(_ mean: [Double], _ covariance: [Double], _ words: String) {
    let error = #expect(throws: UserError.self) {
      try validateStatistics(
        FeatureMoments(count: 0, mean: mean, covariance: covariance), dimension: 2,
        file: "stats.npz")
    }
    #expect(error?.status == .badData)
    #expect("\(error!)".contains("stats.npz") && "\(error!)".contains(words), "\(error!)")
  }

  @Test("round-off below zero and singular covariances pass", arguments: [-1e-9, 0, 1e-9])
  func accepted(_ value: Double) throws {
    let m = FeatureMoments(count: 0, mean: [0, 0], covariance: [1, 0, 0, value])
    try validateStatistics(m, dimension: 2, file: "stats.npz")
  }
}
