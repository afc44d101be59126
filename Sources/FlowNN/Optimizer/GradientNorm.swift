import CKernels
import FlowTensor
import Foundation

/// Sums of squares over the fixed 65,536-element chunks of an arena, [⌈count / 65,536⌉].
///
/// Added in chunk order they are the squared norm, with the same bits whatever the threads or the
/// ranks that hold the chunks (shard edges lie on chunk edges). A sum that is not finite marks a
/// chunk that holds NaN or infinity: squares of float32 do not overflow a Double.
public func chunkSquareSums(_ x: UnsafePointer<Float>, count: Int) -> [Double] {
  let chunk = ParameterStore.chunk
  var sums = [Double](repeating: 0, count: (count + chunk - 1) / chunk)
  sums.withUnsafeMutableBufferPointer { sums in
    nonisolated(unsafe) let sums = sums
    parallelFor(sums.count, grain: 1) { chunks in
      for i in chunks {
        sums[i] = lf_square_sum(x + i * chunk, min(chunk, count - i * chunk))
      }
    }
  }
  return sums
}

/// The factor that brings a gradient of global norm `norm` down to `maximum`; 1 where it is
/// smaller. Pascanu et al. 2013, arXiv 1211.5063; with torch.nn.utils.clip_grad_norm_'s 1e-6.
public func clipCoefficient(norm: Double, maximum: Double) -> Double {
  min(1, maximum / (norm + 1e-6))
}

/// base^n for n ≥ 0, in Double.
func power(_ base: Double, _ n: Int) -> Double { pow(base, Double(n)) }
