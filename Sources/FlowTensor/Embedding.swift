import CKernels
import Foundation

/// Rows of a table.
///
/// - Parameters:
///   - table: [N, D]
///   - indices: B of them, each below N
///   - carrier: a tensor whose tape the result rides (the indices themselves ride none)
/// - Returns: [B, D]
public func embedding(_ table: Tensor, _ indices: [Int], riding carrier: Tensor) -> Tensor {
  let (n, d) = (table.shape[0], table.shape[1])
  precondition(
    indices.allSatisfy { $0 >= 0 && $0 < n }, "embedding: an index is outside 0..<\(n)")
  let y = Tensor(uninitialized: [indices.count, d])
  for (row, index) in indices.enumerated() {
    (y.base + row * d).update(from: table.base + index * d, count: d)
  }
  guard let tape = carrier.tape else { return y }
  let dts = table.gradient
  return tape.record(y, leaves: [dts]) { dy in
    dts?.add { dt, beta in
      if beta == 0 { dt.update(repeating: 0, count: n * d) }
      for (row, index) in indices.enumerated() {
        lf_accumulate(dy.base + row * d, dt + index * d, 1, d)
      }
    }
  }
}

/// Sinusoidal features of a time: [cos(t·ω_i), sin(t·ω_i)], ω_i = 10000^(−i / (width/2)).
/// Vaswani et al. 2017, arXiv 1706.03762, section 3.5, in the order cosines first.
///
/// - Parameter t: [B]
/// - Returns: [B, width]; an odd width ends in a zero.
public func timeFeatures(_ t: Tensor, width: Int, maximumPeriod: Float = 10_000) -> Tensor {
  let half = width / 2
  let y = Tensor([t.count, width], fill: 0)
  for i in 0..<half {
    let frequency = exp(-log(maximumPeriod) * Float(i) / Float(half))
    for b in 0..<t.count {
      y.base[b * width + i] = cos(t.base[b] * frequency)
      y.base[b * width + half + i] = sin(t.base[b] * frequency)
    }
  }
  return y
}
