import FlowTensor
import Foundation

// Errors of images against their targets, one figure per image: a mean over images is the caller's,
// who may want it by mask area. Images are [B, H, W, C]; sums are in Double.

/// Mean of (a − b)² per image.
public func meanSquaredErrors(_ a: Tensor, _ b: Tensor) -> [Double] {
  perImage(a, b) { x, y in (Double(x) - Double(y)) * (Double(x) - Double(y)) }
}

/// Mean of |a − b| per image.
public func meanAbsoluteErrors(_ a: Tensor, _ b: Tensor) -> [Double] {
  perImage(a, b) { x, y in abs(Double(x) - Double(y)) }
}

/// Peak signal-to-noise ratio per image in dB, 10·log10(1 / MSE) of values clamped to [0, 1];
/// infinite for equal images.
///
/// - Parameters: images in [0, 1]
public func peakSignalToNoise(_ a: Tensor, _ b: Tensor) -> [Double] {
  let errors = perImage(a, b) { x, y in
    let difference = Double(min(max(x, 0), 1)) - Double(min(max(y, 0), 1))
    return difference * difference
  }
  return errors.map { -10 * log10($0) }
}

@inline(__always)
private func perImage(_ a: Tensor, _ b: Tensor, _ term: (Float, Float) -> Double) -> [Double] {
  precondition(
    a.shape == b.shape && a.shape.rank == 4 && a.count > 0,
    "errors of images \(a.shape) against \(b.shape)")
  let count = a.count / a.shape[0]
  let sums = (0..<a.shape[0]).map { image in
    let (x, y) = (a.base + image * count, b.base + image * count)
    return (0..<count).reduce(0.0) { $0 + term(x[$1], y[$1]) } / Double(count)
  }
  withExtendedLifetime((a, b)) {}
  return sums
}
