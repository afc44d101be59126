import CKernels
import Foundation

/// Rows of a table.
///
/// - Parameters:
///   - table: [N, D]
///   - indices: B of them, each below N; nil for a row of zeros
///   - carrier: a tensor whose tape the result rides (the indices themselves ride none)
/// - Returns: [B, D]
public func embedding(_ table: Tensor, _ indices: [Int?], riding carrier: Tensor) -> Tensor {
  let (n, d) = (table.shape[0], table.shape[1])
  precondition(
    indices.allSatisfy { $0 == nil || (0..<n).contains($0!) },
    "embedding: an index is outside 0..<\(n)")
  let y = Tensor(uninitialized: [indices.count, d])
  let grain = max(16, Kernel.grain / max(1, indices.count))
  parallelFor(d, grain: grain) { columns in
    for (row, index) in indices.enumerated() {
      let to = y.base + row * d + columns.lowerBound
      if let index {
        to.update(from: table.base + index * d + columns.lowerBound, count: columns.count)
      } else {
        to.update(repeating: 0, count: columns.count)
      }
    }
  }
  guard let tape = carrier.tape else { return y }
  let dts = table.gradient
  return tape.record(y, leaves: [dts]) { dy in
    dts?.add { dt, beta in
      if beta == 0 { dt.update(repeating: 0, count: n * d) }
      // Threads split the columns: a row may be asked for twice.
      parallelFor(d, grain: grain) { columns in
        let first = columns.lowerBound
        for (row, index) in indices.enumerated() {
          guard let index else { continue }
          lf_accumulate(dy.base + row * d + first, dt + index * d + first, 1, columns.count)
        }
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

/// Sines, then cosines, of the time times each frequency.
///
/// - Parameters:
///   - t: [B]
///   - frequencies: n of them, in radians per unit of time
/// - Returns: [B, 2·n]
public func sinusoids(_ t: Tensor, frequencies: [Float]) -> Tensor {
  let n = frequencies.count
  let y = Tensor(uninitialized: [t.count, 2 * n])
  for b in 0..<t.count {
    for (i, frequency) in frequencies.enumerated() {
      y.base[2 * b * n + i] = sin(t.base[b] * frequency)
      y.base[(2 * b + 1) * n + i] = cos(t.base[b] * frequency)
    }
  }
  return y
}

/// `count` frequencies from 1 to `lowest`, both included, each the same part of the one before.
public func geometricFrequencies(_ count: Int, lowest: Float) -> [Float] {
  (0..<count).map { pow(lowest, count > 1 ? Float($0) / Float(count - 1) : 0) }
}
