import CKernels

/// The C kernels, split over the engine's threads.
public enum Kernel {
  /// Elements per thread below which splitting an elementwise loop does not pay.
  static let grain = 16_384

  /// d = beta·d + x, beta 0 or 1.
  static func accumulate(
    _ x: UnsafePointer<Float>, into d: UnsafeMutablePointer<Float>, beta: Float, count: Int
  ) {
    parallelFor(count, grain: grain) { r in
      lf_accumulate(x + r.lowerBound, d + r.lowerBound, beta, r.count)
    }
  }
}
