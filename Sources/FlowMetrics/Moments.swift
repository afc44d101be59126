import CBLAS
import FlowTensor

/// Mean and covariance of feature vectors, in Double.
public struct FeatureMoments: Equatable, Sendable {
  /// Samples; 0 where a file of statistics does not say.
  public let count: Int
  /// [D]
  public let mean: [Double]
  /// [D, D], divisor count − 1
  public let covariance: [Double]

  public var dimension: Int { mean.count }

  /// - Parameter features: rows of D features each; at least two.
  public init(_ features: [[Float]]) {
    precondition(!features.isEmpty, "moments of no feature vector")
    var stream = MomentStream(dimension: features[0].count)
    for row in features {
      precondition(row.count == stream.dimension, "\(row.count) features of \(stream.dimension)")
      stream.append(row, count: 1)
    }
    self = stream.moments()
  }

  public init(count: Int, mean: [Double], covariance: [Double]) {
    precondition(
      covariance.count == mean.count * mean.count,
      "a covariance of \(covariance.count) elements for \(mean.count) features")
    (self.count, self.mean, self.covariance) = (count, mean, covariance)
  }

  public init(_ s: SampleMoments) {
    precondition(s.count >= 2, "the covariance of \(s.count) feature vectors")
    let d = s.dimension
    var covariance = s.scatter
    let divisor = Double(s.count - 1)
    for i in 0..<d {
      for j in i..<d {
        covariance[i * d + j] /= divisor
        covariance[j * d + i] = covariance[i * d + j]
      }
    }
    self.init(count: s.count, mean: s.mean, covariance: covariance)
  }
}

/// Count, mean and scatter Σ (x − mean)·(x − mean)ᵀ of some feature vectors: what of two sets makes
/// that of their union (Chan, Golub & LeVeque 1979, «Updating formulae and a pairwise algorithm for
/// computing sample variances»).
public struct SampleMoments: Equatable, Sendable {
  public private(set) var count: Int
  /// [D]
  public private(set) var mean: [Double]
  /// [D, D]; the upper triangle counts.
  public private(set) var scatter: [Double]

  public var dimension: Int { mean.count }

  /// - Parameters:
  ///   - rows: [count, D]
  ///   - count: at least 1
  public init(_ rows: UnsafePointer<Float>, count: Int, dimension d: Int) {
    precondition(count >= 1 && d >= 1, "moments of \(count) vectors of \(d) features")
    self.count = count
    mean = [Double](repeating: 0, count: d)
    scatter = [Double](repeating: 0, count: d * d)
    var centred = [Double](repeating: 0, count: count * d)
    mean.withUnsafeMutableBufferPointer { mean in
      centred.withUnsafeMutableBufferPointer { centred in
        let (m, x) = (mean.baseAddress!, centred.baseAddress!)
        parallelFor(d, grain: max(16, 65_536 / count)) { columns in
          for r in 0..<count { for c in columns { m[c] += Double(rows[r * d + c]) } }
          for c in columns { m[c] /= Double(count) }
          for r in 0..<count { for c in columns { x[r * d + c] = Double(rows[r * d + c]) - m[c] } }
        }
      }
    }
    cblas_dsyrk(
      CblasRowMajor, CblasUpper, CblasTrans, blasint(d), blasint(count), 1, centred, blasint(d), 0,
      &scatter, blasint(d))
  }

  /// Takes in the samples of `next`.
  public mutating func append(_ next: SampleMoments) {
    precondition(
      dimension == next.dimension, "moments of \(dimension) and \(next.dimension) features")
    let d = dimension
    let (n, m) = (Double(count), Double(next.count))
    let shift = zip(next.mean, mean).map { $0 - $1 }
    let weight = n * m / (n + m)
    scatter.withUnsafeMutableBufferPointer { scatter in
      next.scatter.withUnsafeBufferPointer { other in
        shift.withUnsafeBufferPointer { shift in
          let (s, o, e) = (scatter.baseAddress!, other.baseAddress!, shift.baseAddress!)
          parallelFor(d, grain: max(1, 65_536 / d)) { rows in
            for i in rows {
              let factor = weight * e[i]
              for j in i..<d { s[i * d + j] += o[i * d + j] + factor * e[j] }
            }
          }
        }
      }
    }
    for i in 0..<d { mean[i] += shift[i] * m / (n + m) }
    count += next.count
  }

  /// Count, mean and upper triangle in a row, to be sent: 1 + D + D·(D + 1) / 2 numbers.
  public var flattened: [Double] {
    let d = dimension
    return [Double(count)] + mean + (0..<d).flatMap { scatter[$0 * d + $0..<($0 + 1) * d] }
  }

  public init(flattened: [Double], dimension d: Int) {
    precondition(
      flattened.count == 1 + d + d * (d + 1) / 2,
      "\(flattened.count) numbers for the moments of \(d) features")
    count = Int(flattened[0])
    mean = Array(flattened[1...d])
    scatter = [Double](repeating: 0, count: d * d)
    var at = 1 + d
    for i in 0..<d {
      scatter.replaceSubrange(i * d + i..<(i + 1) * d, with: flattened[at..<at + d - i])
      at += d - i
    }
  }
}

/// Moments of feature vectors that come in the order of their index, in any portions.
///
/// Blocks of 1,024 vectors are summed on their own and taken in one after the other. The bits
/// depend on the vectors and on the threads alone; where ranks sum blocks of their own, blocks are
/// appended in order of index here.
public struct MomentStream: Sendable {
  public static let blockRows = 1_024

  /// The blocks of `count` vectors.
  public static func blocks(of count: Int) -> [Range<Int>] {
    stride(from: 0, to: count, by: blockRows).map { $0..<min(count, $0 + blockRows) }
  }

  public let dimension: Int
  public private(set) var count = 0
  private var sums: SampleMoments?
  private var pending: [Float] = []

  public init(dimension: Int) {
    precondition(dimension >= 1, "moments of \(dimension) features")
    self.dimension = dimension
  }

  /// - Parameter rows: [count, D]
  public mutating func append(_ rows: UnsafePointer<Float>, count: Int) {
    self.count += count
    var next = 0
    while next < count {
      let room = Self.blockRows - pending.count / dimension
      let taken = min(room, count - next)
      let start = rows + next * dimension
      if taken == Self.blockRows {
        absorb(SampleMoments(start, count: taken, dimension: dimension))
      } else {
        pending += UnsafeBufferPointer(start: start, count: taken * dimension)
        if taken == room { flush() }
      }
      next += taken
    }
  }

  /// - Parameter features: [N, D]
  public mutating func append(_ features: Tensor) {
    precondition(
      features.shape.rank == 2 && features.shape[1] == dimension,
      "features \(features.shape) for moments of \(dimension)")
    append(features.base, count: features.shape[0])
    withExtendedLifetime(features) {}
  }

  /// Takes in the next block, summed elsewhere: a full one, unless it is the last.
  public mutating func append(block: SampleMoments) {
    precondition(
      pending.isEmpty && count % Self.blockRows == 0 && block.count <= Self.blockRows,
      "a block of \(block.count) vectors behind \(count) others")
    count += block.count
    absorb(block)
  }

  /// Of everything so far; at least two vectors.
  public func moments() -> FeatureMoments {
    var rest = self
    rest.flush()
    guard let sums = rest.sums else { preconditionFailure("moments of no feature vector") }
    return FeatureMoments(sums)
  }

  private mutating func flush() {
    if pending.isEmpty { return }
    absorb(SampleMoments(pending, count: pending.count / dimension, dimension: dimension))
    pending.removeAll(keepingCapacity: true)
  }

  private mutating func absorb(_ block: SampleMoments) {
    if sums == nil { sums = block } else { sums!.append(block) }
  }
}
