import FlowTensor

/// Feature vectors as points among which distances are measured.
///
/// Distances are computed in blocks of 1,024×1,024 and never kept. What takes rows answers for them
/// alone: ranks share the work by whole blocks, and bits do not depend on who did which.
public struct FeaturePoints {
  public static let block = 1_024

  /// [N, D]
  public let features: Tensor
  /// [N]
  private let squaredNorms: [Double]

  public init(_ features: Tensor) {
    precondition(features.shape.rank == 2, "points [N, D] from \(features.shape)")
    self.features = features
    let d = features.shape[1]
    squaredNorms = (0..<features.shape[0]).map { r in
      let row = features.base + r * d
      return (0..<d).reduce(0.0) { $0 + Double(row[$1]) * Double(row[$1]) }
    }
  }

  public var count: Int { features.shape[0] }

  /// The rows of each block.
  public var blocks: [Range<Int>] {
    stride(from: 0, to: count, by: Self.block).map { $0..<min($0 + Self.block, count) }
  }

  /// Squared distance of each of `rows` to its k-th neighbour among the other points.
  ///
  /// - Parameter rows: begins with a block.
  public func squaredRadii(neighbor k: Int, rows: Range<Int>) -> [Double] {
    precondition(k >= 1 && k < count, "neighbour \(k) among \(features.shape)")
    var nearest = [Double](repeating: .infinity, count: rows.count * k)  // rising, per row
    nearest.withUnsafeMutableBufferPointer { nearest in
      let lists = nearest.baseAddress!
      forDistances(of: rows, to: self) { row, columns, distances in
        let list = lists + (row - rows.lowerBound) * k
        for (offset, column) in columns.enumerated() where column != row {
          insert(distances[offset], list, k)
        }
      }
    }
    return (0..<rows.count).map { nearest[$0 * k + k - 1] }
  }

  /// Calls `body` with the squared distances of one row to a block of rows of `other`; rows at a
  /// time in parallel, blocks of `other` in order.
  fileprivate func forDistances(
    of rows: Range<Int>, to other: FeaturePoints,
    _ body: (_ row: Int, _ columns: Range<Int>, _ distances: UnsafePointer<Double>) -> Void
  ) {
    let (a, b, block) = (features, other.features, Self.block)
    precondition(
      a.shape[1] == b.shape[1] && rows.lowerBound % block == 0 && rows.upperBound <= count,
      "distances of rows \(rows) of \(a.shape) to \(b.shape)")
    let d = a.shape[1]
    let (norms, otherNorms) = (squaredNorms, other.squaredNorms)
    let products = Storage(count: block * block)
    for first in stride(from: rows.lowerBound, to: rows.upperBound, by: block) {
      let height = min(block, rows.upperBound - first)
      for start in stride(from: 0, to: other.count, by: block) {
        let width = min(block, other.count - start)
        Gemm.multiply(
          .normal, .transposed, m: height, n: width, k: d, a.base + first * d, d,
          b.base + start * d, d, beta: 0, products.base, width)
        parallelFor(height, grain: max(1, 65_536 / width)) { range in
          withUnsafeTemporaryAllocation(of: Double.self, capacity: width) { distances in
            for i in range {
              let row = products.base + i * width
              for j in 0..<width {
                distances[j] = max(
                  0, norms[first + i] + otherNorms[start + j] - 2 * Double(row[j]))
              }
              body(first + i, start..<start + width, distances.baseAddress!)
            }
          }
        }
      }
    }
    withExtendedLifetime((a, b, products)) {}
  }
}

/// Points with the squared distances to their k-th neighbours: the balls that cover what the points
/// were drawn from.
public struct FeatureManifold {
  public let points: FeaturePoints
  /// [N]
  public let squaredRadii: [Double]

  public init(_ points: FeaturePoints, neighbor k: Int) {
    self.init(
      points, squaredRadii: points.squaredRadii(neighbor: k, rows: 0..<points.count))
  }

  public init(_ points: FeaturePoints, squaredRadii: [Double]) {
    precondition(
      squaredRadii.count == points.count,
      "\(squaredRadii.count) radii for points \(points.features.shape)")
    (self.points, self.squaredRadii) = (points, squaredRadii)
  }

  /// Whether a ball of the manifold holds each of `rows` (all of them unless given) of `queries`.
  ///
  /// - Parameter rows: begins with a block.
  public func contains(_ queries: FeaturePoints, rows: Range<Int>? = nil) -> [Bool] {
    let rows = rows ?? 0..<queries.count
    var held = [Bool](repeating: false, count: rows.count)
    held.withUnsafeMutableBufferPointer { held in
      squaredRadii.withUnsafeBufferPointer { radii in
        let (flags, radii) = (held.baseAddress!, radii.baseAddress!)
        queries.forDistances(of: rows, to: points) { row, columns, distances in
          let flag = flags + (row - rows.lowerBound)
          for (offset, column) in columns.enumerated() where distances[offset] <= radii[column] {
            flag.pointee = true
          }
        }
      }
    }
    return held
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
