import FlowTensor

/// Kernel Inception distance: the unbiased squared maximum mean discrepancy under the kernel
/// (x·y / D + 1)³, over random subsets.
/// Bińkowski et al. 2018, «Demystifying MMD GANs», arXiv 1801.01401, section 4.
public struct KernelDistance: Equatable, Sendable {
  /// Over the subsets.
  public let mean: Double
  /// Over the subsets, divisor their number.
  public let deviation: Double
  /// Of the mean: deviation / √subsets.
  public let standardError: Double

  /// - Parameters:
  ///   - real, fake: features, [N, D] and [M, D]
  ///   - subsetSize: vectors of each set in a subset; at least 2 and at most N and M.
  ///   - seed: subsets are a function of the seed, their number, N and M.
  public init(
    real: Tensor, fake: Tensor, subsets: Int = 100, subsetSize: Int = 1_000, seed: UInt64 = 0
  ) {
    self.init(
      discrepancies: (0..<subsets).map {
        Self.discrepancy(ofSubset: $0, real: real, fake: fake, subsetSize: subsetSize, seed: seed)
      })
  }

  /// - Parameter discrepancies: of all subsets, in their order.
  public init(discrepancies: [Double]) {
    precondition(!discrepancies.isEmpty, "a kernel distance without subsets")
    let count = Double(discrepancies.count)
    let mean = discrepancies.reduce(0, +) / count
    self.mean = mean
    deviation =
      (discrepancies.reduce(0.0) { $0 + ($1 - mean) * ($1 - mean) } / count).squareRoot()
    standardError = deviation / count.squareRoot()
  }

  /// The squared discrepancy of one subset, a function of its number and the arguments alone.
  ///
  /// - Parameters: as those of `init(real:fake:subsets:subsetSize:seed:)`.
  public static func discrepancy(
    ofSubset subset: Int, real: Tensor, fake: Tensor, subsetSize: Int, seed: UInt64
  ) -> Double {
    precondition(
      real.shape.rank == 2 && fake.shape.rank == 2 && real.shape[1] == fake.shape[1]
        && subsetSize >= 2 && subsetSize <= min(real.shape[0], fake.shape[0]),
      "kernel distance of \(real.shape) and \(fake.shape) over subsets of \(subsetSize)")
    let x = drawnRows(real, subsetSize, Philox(seed: seed, stream: .resample, index: 2 * subset))
    let y = drawnRows(
      fake, subsetSize, Philox(seed: seed, stream: .resample, index: 2 * subset + 1))
    return unbiasedDiscrepancy(x, y, count: subsetSize, dimension: real.shape[1])
  }
}

/// `count` rows without repetition in the order drawn, [count, D].
private func drawnRows(_ features: Tensor, _ count: Int, _ draw: Philox) -> [Double] {
  let (n, d) = (features.shape[0], features.shape[1])
  var order = Array(0..<n)
  var rows: [Double] = []
  rows.reserveCapacity(count * d)
  for i in 0..<count {
    order.swapAt(i, i + draw.integer(below: n - i, i))
    let row = features.base + order[i] * d
    for c in 0..<d { rows.append(Double(row[c])) }
  }
  withExtendedLifetime(features) {}
  return rows
}

private func unbiasedDiscrepancy(
  _ x: [Double], _ y: [Double], count n: Int, dimension d: Int
) -> Double {
  func kernelSum(_ a: [Double], _ b: [Double], diagonal: Bool) -> Double {
    let products = product(a, b, transposingB: true, m: n, n: n, k: d)
    var sum = 0.0
    for i in 0..<n {
      for j in 0..<n where diagonal || i != j {
        let base = products[i * n + j] / Double(d) + 1
        sum += base * base * base
      }
    }
    return sum
  }
  let pairs = Double(n) * Double(n - 1)
  return (kernelSum(x, x, diagonal: false) + kernelSum(y, y, diagonal: false)) / pairs
    - 2 * kernelSum(x, y, diagonal: true) / (Double(n) * Double(n))
}
