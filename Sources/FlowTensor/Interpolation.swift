/// How a resized image reads pixels between those that exist. Pixel centres lie at halves
/// (`align_corners=False`), and each equals the mode of that name of PyTorch's `interpolate`.
public enum Interpolation: String, Equatable, Sendable, CaseIterable {
  case nearest
  case bilinear
  /// Keys 1981, «Cubic convolution interpolation», a = −3/4.
  case bicubic
  /// Means over the area of a result's pixel, edges rounded outwards.
  case area
  /// A tent as wide as a pixel of the result, where the image shrinks.
  case bilinearAntialiased
}

/// An image at another size, each axis by itself.
///
/// - Parameter x: [B, H, W, C]
/// - Returns: [B, height, width, C]
public func resized(
  _ x: Tensor, height: Int, width: Int, _ interpolation: Interpolation
) -> Tensor {
  precondition(
    x.shape.rank == 4 && x.shape[1] > 0 && x.shape[2] > 0 && height > 0 && width > 0,
    "resized: [B, H, W, C] \(x.shape) to \(height) × \(width)")
  let (b, c) = (x.shape[0], x.shape[3])
  let rows = AxisWeights(interpolation, from: x.shape[1], to: height)
  let columns = AxisWeights(interpolation, from: x.shape[2], to: width)
  let y = Tensor(uninitialized: [b, height, width, c])
  apply(rows, columns, x.base, into: y.base, beta: 0, batch: b, channels: c)
  guard let tape = x.tape else { return y }
  let dxs = x.gradient
  return tape.record(y, leaves: [dxs]) { dy in
    let (rows, columns) = (rows.transposed, columns.transposed)
    dxs?.add { dx, beta in
      apply(rows, columns, dy.base, into: dx, beta: beta, batch: b, channels: c)
    }
  }
}

/// Row by row of the result: the rows of the source that it is made of, then their columns.
private func apply(
  _ rows: AxisWeights, _ columns: AxisWeights, _ x: UnsafePointer<Float>,
  into y: UnsafeMutablePointer<Float>, beta: Float, batch: Int, channels c: Int
) {
  let (sourceLine, line) = (columns.sources * c, columns.count * c)
  let work = max(1, sourceLine + line)
  parallelFor(batch * rows.count, grain: max(1, Kernel.grain / work)) { range in
    let blended = Storage(count: sourceLine)
    withExtendedLifetime(blended) {
      for index in range {
        let (b, row) = (index / rows.count, index % rows.count)
        let image = x + b * rows.sources * sourceLine
        blended.base.update(repeating: 0, count: sourceLine)
        rows.forEach(of: row) { source, weight in
          for i in 0..<sourceLine { blended.base[i] += weight * image[source * sourceLine + i] }
        }
        let out = y + index * line
        if beta == 0 { out.update(repeating: 0, count: line) }
        for column in 0..<columns.count {
          columns.forEach(of: column) { source, weight in
            for i in 0..<c { out[column * c + i] += weight * blended.base[source * c + i] }
          }
        }
      }
    }
  }
}

/// What each pixel of a resized axis is made of: a sparse matrix [count, sources] by rows.
struct AxisWeights {
  let sources: Int
  /// Where a row's entries begin; one more at the end.
  private var starts = [0]
  private var indices: [Int] = []
  private var weights: [Float] = []

  var count: Int { starts.count - 1 }

  private init(rows: [[(source: Int, weight: Float)]], sources: Int) {
    self.sources = sources
    for row in rows {
      indices += row.map(\.source)
      weights += row.map(\.weight)
      starts.append(indices.count)
    }
  }

  init(_ interpolation: Interpolation, from n: Int, to count: Int) {
    self.init(
      rows: (0..<count).map { interpolation.taps(of: $0, count: count, sources: n) }, sources: n)
  }

  /// What each source gives to the pixels.
  var transposed: AxisWeights {
    var rows = [[(source: Int, weight: Float)]](repeating: [], count: sources)
    for pixel in 0..<count { forEach(of: pixel) { rows[$0].append((pixel, $1)) } }
    return AxisWeights(rows: rows, sources: count)
  }

  @inline(__always)
  func forEach(of pixel: Int, _ body: (_ source: Int, _ weight: Float) -> Void) {
    for entry in starts[pixel]..<starts[pixel + 1] { body(indices[entry], weights[entry]) }
  }
}

extension Interpolation {
  /// The sources of pixel i of `count` along an axis of n pixels; a source may appear twice.
  fileprivate func taps(of i: Int, count: Int, sources n: Int) -> [(source: Int, weight: Float)] {
    let scale = Double(n) / Double(count)
    let place = scale * (Double(i) + 0.5) - 0.5
    switch self {
    case .nearest:
      // The reference multiplies in float32, which decides at whole numbers; by two it shifts.
      if count == 2 * n { return [(i / 2, 1)] }
      return [(min(n - 1, Int(Float(i) * (Float(n) / Float(count)))), 1)]
    case .bilinear:
      let place = max(0, place)
      let first = min(n - 1, Int(place))
      let fraction = Float(place - Double(first))
      return [(first, 1 - fraction), (min(n - 1, first + 1), fraction)]
    case .bicubic:
      let first = Int(place.rounded(.down))
      return (-1...2).map { offset in
        let distance = abs(place - Double(first + offset))
        return (min(n - 1, max(0, first + offset)), Float(keys(distance, a: -0.75)))
      }
    case .area:
      let (lower, upper) = (i * n / count, ((i + 1) * n + count - 1) / count)
      return (lower..<upper).map { ($0, 1 / Float(upper - lower)) }
    case .bilinearAntialiased:
      let width = max(1, scale)
      let center = place + 0.5
      let lower = max(0, Int(center - width + 0.5))
      let upper = min(n, Int(center + width + 0.5))
      let weights = (lower..<upper).map { max(0, 1 - abs(Double($0) - place) / width) }
      let sum = weights.reduce(0, +)
      return zip(lower..<upper, weights).map { ($0, Float($1 / sum)) }
    }
  }
}

/// Keys' cubic at distance d ≥ 0 (his eq. 15).
private func keys(_ d: Double, a: Double) -> Double {
  if d <= 1 { return ((a + 2) * d - (a + 3)) * d * d + 1 }
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0
}
