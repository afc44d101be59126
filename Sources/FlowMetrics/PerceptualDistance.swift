import FlowTensor

/// LPIPS from feature maps: per layer the squared difference of channel vectors of unit length,
/// weighted by channel, means over pixels, summed over layers.
/// Zhang et al. 2018, «The unreasonable effectiveness of deep features as a perceptual metric»,
/// arXiv 1801.03924, eq. 1.
///
/// - Parameters:
///   - a, b: one map per layer, [B, H_l, W_l, C_l]
///   - weights: one row per layer, [C_l]
/// - Returns: one distance per image
public func perceptualDistances(
  _ a: [Tensor], _ b: [Tensor], weights: [Tensor]
) -> [Double] {
  precondition(
    a.count == weights.count && b.count == weights.count && !a.isEmpty,
    "\(a.count) and \(b.count) maps for \(weights.count) rows of weights")
  var result = [Double](repeating: 0, count: a[0].shape[0])
  for layer in a.indices {
    let (x, y, w) = (a[layer], b[layer], weights[layer])
    precondition(
      x.shape == y.shape && x.shape.rank == 4 && x.shape[3] == w.count,
      "perceptual distance of maps \(x.shape) and \(y.shape) by \(w.shape)")
    let (pixels, c) = (x.shape[1] * x.shape[2], x.shape[3])
    for image in result.indices {
      let sum = (0..<pixels).reduce(0.0) { sum, pixel in
        let offset = (image * pixels + pixel) * c
        return sum + weightedDifference(x.base + offset, y.base + offset, w.base, count: c)
      }
      result[image] += sum / Double(pixels)
    }
    withExtendedLifetime((x, y, w)) {}
  }
  return result
}

/// Σ w·(a/(‖a‖ + ε) − b/(‖b‖ + ε))²; the ε is that of the published figures.
private func weightedDifference(
  _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ w: UnsafePointer<Float>, count: Int
) -> Double {
  var (aa, bb) = (0.0, 0.0)
  for i in 0..<count {
    aa += Double(a[i]) * Double(a[i])
    bb += Double(b[i]) * Double(b[i])
  }
  let (scaleA, scaleB) = (1 / (aa.squareRoot() + 1e-10), 1 / (bb.squareRoot() + 1e-10))
  var sum = 0.0
  for i in 0..<count {
    let difference = Double(a[i]) * scaleA - Double(b[i]) * scaleB
    sum += Double(w[i]) * difference * difference
  }
  return sum
}
