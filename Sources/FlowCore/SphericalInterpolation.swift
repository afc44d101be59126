import FlowTensor
import Foundation

/// Points on the arc between two vectors, for noise: a straight line between two draws of a
/// Gaussian leaves the shell where its mass lies.  Shoemake 1985, SIGGRAPH '85, 245.
///
///     sin((1 − w)·θ) / sin θ · a + sin(w·θ) / sin θ · b        θ the angle between a and b
///
/// - Parameters:
///   - a, b: [D …], neither zero
///   - weights: w, 0 at a and 1 at b
/// - Returns: [weights, D …]; a straight line where the angle is too small to divide by
public func sphericalInterpolation(_ a: Tensor, _ b: Tensor, weights: [Double]) -> Tensor {
  precondition(a.shape == b.shape, "an arc from \(a.shape) to \(b.shape)")
  var (aa, bb, ab) = (0.0, 0.0, 0.0)
  for i in 0..<a.count {
    let (x, y) = (Double(a.base[i]), Double(b.base[i]))
    (aa, bb, ab) = (aa + x * x, bb + y * y, ab + x * y)
  }
  precondition(aa > 0 && bb > 0, "an arc from or to a vector of length 0")
  let angle = acos(max(-1, min(1, ab / (aa * bb).squareRoot())))
  let result = Tensor(uninitialized: Shape([weights.count] + a.shape.dims))
  for (k, w) in weights.enumerated() {
    let isArc = sin(angle) > 1e-6
    let (ca, cb) =
      isArc ? (sin((1 - w) * angle) / sin(angle), sin(w * angle) / sin(angle)) : (1 - w, w)
    linearCombination(
      nil, [a, b], coefficients: [Float(ca), Float(cb)],
      into: result.slice(k..<k + 1).reshaped(a.shape))
  }
  return result
}
