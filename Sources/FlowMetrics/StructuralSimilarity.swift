import FlowTensor
import Foundation

/// Structural similarity per image, the mean over pixels and channels.
/// Wang et al. 2004, «Image quality assessment: from error visibility to structural similarity»:
/// Gaussian windows of 11×11 with σ = 1.5, C1 = (0.01·L)², C2 = (0.03·L)²; images are mirrored at
/// their edges, as torchmetrics does.
///
/// - Parameters:
///   - a, b: [B, H, W, C], H and W at least 6
///   - range: L, the extent of values: 1 for images in [0, 1].
public func structuralSimilarity(_ a: Tensor, _ b: Tensor, range: Double = 1) -> [Double] {
  precondition(
    a.shape == b.shape && a.shape.rank == 4 && min(a.shape[1], a.shape[2]) > SSIMWindow.radius,
    "structural similarity of images \(a.shape) and \(b.shape)")
  let (h, w, c) = (a.shape[1], a.shape[2], a.shape[3])
  var result = [Double](repeating: 0, count: a.shape[0])
  result.withUnsafeMutableBufferPointer { result in
    let sums = result.baseAddress!
    parallelFor(a.shape[0], grain: 1) { images in
      for image in images {
        let start = image * h * w * c
        let window = SSIMWindow(height: h, width: w, range: range)
        let total = (start..<start + c).reduce(0.0) { sum, first in
          sum + window.similarity(a.base + first, b.base + first, stride: c)
        }
        sums[image] = total / Double(c)
      }
    }
  }
  withExtendedLifetime((a, b)) {}
  return result
}

/// One channel of one pair of images.
private struct SSIMWindow {
  static let radius = 5

  let height: Int
  let width: Int
  let range: Double

  /// Weights of one axis, [11].
  private static let weights: [Double] = {
    let raw = (-radius...radius).map { exp(-Double($0 * $0) / (2 * 1.5 * 1.5)) }
    let sum = raw.reduce(0, +)
    return raw.map { $0 / sum }
  }()

  func similarity(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, stride: Int) -> Double {
    let count = height * width
    let x = (0..<count).map { Double(a[$0 * stride]) }
    let y = (0..<count).map { Double(b[$0 * stride]) }
    let (mx, my) = (blurred(x), blurred(y))
    let xx = blurred(x.map { $0 * $0 })
    let yy = blurred(y.map { $0 * $0 })
    let xy = blurred(zip(x, y).map { $0 * $1 })
    let (c1, c2) = (0.01 * range * (0.01 * range), 0.03 * range * (0.03 * range))
    var sum = 0.0
    for i in 0..<count {
      let (a, b) = (mx[i], my[i])
      let (varianceX, varianceY) = (max(0, xx[i] - a * a), max(0, yy[i] - b * b))
      let covariance = xy[i] - a * b
      let luminance = (2 * a * b + c1) / (a * a + b * b + c1)
      sum += luminance * (2 * covariance + c2) / (varianceX + varianceY + c2)
    }
    return sum / Double(count)
  }

  /// [H, W] → [H, W], along rows first, then along columns; edges are mirrored without repeating
  /// the outermost pixel.
  private func blurred(_ x: [Double]) -> [Double] {
    let radius = Self.radius
    let columns = (-radius..<width + radius).map { mirrored($0, width) }
    var rows = [Double](repeating: 0, count: x.count)
    var line = [Double](repeating: 0, count: columns.count)
    for i in 0..<height {
      for (place, column) in columns.enumerated() { line[place] = x[i * width + column] }
      for (k, weight) in Self.weights.enumerated() {
        add(weight, line, from: k, into: &rows, from: i * width)
      }
    }
    var result = [Double](repeating: 0, count: x.count)
    for i in 0..<height {
      for (k, weight) in Self.weights.enumerated() {
        let row = mirrored(i + k - radius, height)
        add(weight, rows, from: row * width, into: &result, from: i * width)
      }
    }
    return result
  }

  private func mirrored(_ i: Int, _ extent: Int) -> Int {
    abs(i) < extent ? abs(i) : 2 * (extent - 1) - i
  }

  /// One row: to[…] += weight·from[…].
  private func add(
    _ weight: Double, _ from: [Double], from start: Int, into to: inout [Double], from place: Int
  ) {
    let width = width
    from.withUnsafeBufferPointer { from in
      to.withUnsafeMutableBufferPointer { to in
        let (source, target) = (from.baseAddress! + start, to.baseAddress! + place)
        for j in 0..<width { target[j] += weight * source[j] }
      }
    }
  }
}
