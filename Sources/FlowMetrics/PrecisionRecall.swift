import FlowTensor

/// Improved precision and recall: the share of samples within the manifold of the real images and
/// the share of real images within that of the samples, a manifold being the balls around its
/// points that reach to their k-th neighbours.
/// Kynkäänniemi et al. 2019, arXiv 1904.06991, section 2.
public struct PrecisionRecall: Equatable, Sendable {
  public let precision: Double
  public let recall: Double

  /// - Parameters:
  ///   - real, fake: features, [N, D] and [M, D]
  ///   - neighbor: k; less than N and M.
  public init(real: Tensor, fake: Tensor, neighbor k: Int = 3) {
    let (reals, fakes) = (FeatureManifold(real, neighbor: k), FeatureManifold(fake, neighbor: k))
    precision = share(reals.contains(fake))
    recall = share(fakes.contains(real))
  }
}

private func share(_ flags: [Bool]) -> Double {
  Double(flags.count { $0 }) / Double(flags.count)
}

/// Points with the squared distances to their k-th neighbours.
///
/// Distances are computed in blocks of 1,024×1,024 and never kept. Every function takes the rows it
/// answers for: ranks share the work by whole blocks, and bits do not depend on who did which.
public struct FeatureManifold {
  public static let block = 1_024

  /// [N, D]
  public let features: Tensor
  /// [N]
  public let squaredRadii: [Double]

  public init(_ features: Tensor, neighbor k: Int) {
    self.init(
      features,
      squaredRadii: Self.squaredRadii(of: features, neighbor: k, rows: 0..<features.shape[0]))
  }

  public init(_ features: Tensor, squaredRadii: [Double]) {
    precondition(
      features.shape.rank == 2 && squaredRadii.count == features.shape[0],
      "\(squaredRadii.count) radii for features \(features.shape)")
    (self.features, self.squaredRadii) = (features, squaredRadii)
  }

  /// Squared distance of each of `rows` to its k-th neighbour among the others.
  ///
  /// - Parameter rows: begins with a block.
  public static func squaredRadii(
    of features: Tensor, neighbor k: Int, rows: Range<Int>
  ) -> [Double] {
    precondition(k >= 1 && k < features.shape[0], "neighbour \(k) among \(features.shape)")
    var nearest = [Double](repeating: .infinity, count: rows.count * k)  // rising, per row
    nearest.withUnsafeMutableBufferPointer { nearest in
      let lists = nearest.baseAddress!
      forDistances(of: features, rows, to: features) { row, columns, distances in
        let list = lists + (row - rows.lowerBound) * k
        for (offset, column) in columns.enumerated() where column != row {
          insert(distances[offset], list, k)
        }
      }
    }
    return (0..<rows.count).map { nearest[$0 * k + k - 1] }
  }

  /// Whether a ball of the manifold holds each of `rows` (all of them unless given) of `queries`.
  ///
  /// - Parameter rows: begins with a block.
  public func contains(_ queries: Tensor, rows: Range<Int>? = nil) -> [Bool] {
    let rows = rows ?? 0..<queries.shape[0]
    var held = [Bool](repeating: false, count: rows.count)
    held.withUnsafeMutableBufferPointer { held in
      squaredRadii.withUnsafeBufferPointer { radii in
        let (flags, radii) = (held.baseAddress!, radii.baseAddress!)
        Self.forDistances(of: queries, rows, to: features) { row, columns, distances in
          let flag = flags + (row - rows.lowerBound)
          for (offset, column) in columns.enumerated() where distances[offset] <= radii[column] {
            flag.pointee = true
          }
        }
      }
    }
    return held
  }

  /// Calls `body` with the squared distances of one row of `a` to a block of rows of `b`; rows at a
  /// time in parallel, blocks of `b` in order.
  private static func forDistances(
    of a: Tensor, _ rows: Range<Int>, to b: Tensor,
    _ body: (_ row: Int, _ columns: Range<Int>, _ distances: UnsafePointer<Double>) -> Void
  ) {
    precondition(
      a.shape.rank == 2 && b.shape.rank == 2 && a.shape[1] == b.shape[1]
        && rows.lowerBound % block == 0 && rows.upperBound <= a.shape[0],
      "distances of rows \(rows) of \(a.shape) to \(b.shape)")
    let (d, count) = (a.shape[1], b.shape[0])
    let (normsA, normsB) = (squaredNorms(a), squaredNorms(b))
    let products = Storage(count: block * block)
    for first in stride(from: rows.lowerBound, to: rows.upperBound, by: block) {
      let height = min(block, rows.upperBound - first)
      for start in stride(from: 0, to: count, by: block) {
        let width = min(block, count - start)
        Gemm.multiply(
          .normal, .transposed, m: height, n: width, k: d, a.base + first * d, d,
          b.base + start * d, d, beta: 0, products.base, width)
        parallelFor(height, grain: max(1, 65_536 / width)) { range in
          withUnsafeTemporaryAllocation(of: Double.self, capacity: width) { distances in
            for i in range {
              let row = products.base + i * width
              for j in 0..<width {
                distances[j] = max(
                  0, normsA[first + i] + normsB[start + j] - 2 * Double(row[j]))
              }
              body(first + i, start..<start + width, distances.baseAddress!)
            }
          }
        }
      }
    }
    withExtendedLifetime((a, b, products)) {}
  }

  private static func squaredNorms(_ features: Tensor) -> [Double] {
    let d = features.shape[1]
    return (0..<features.shape[0]).map { r in
      let row = features.base + r * d
      return (0..<d).reduce(0.0) { $0 + Double(row[$1]) * Double(row[$1]) }
    }
  }
}

/// Keeps the k smallest values in rising order.
private func insert(_ value: Double, _ list: UnsafeMutablePointer<Double>, _ k: Int) {
  if value >= list[k - 1] { return }
  var place = k - 1
  while place > 0 && list[place - 1] > value {
    list[place] = list[place - 1]
    place -= 1
  }
  list[place] = value
}
