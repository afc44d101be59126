import CKernels

/// The C kernels, split over the engine's threads.
enum Kernel {
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

  /// d = beta·d + Σ_r x[r, :]; threads split the columns, so that the order of the sum is fixed.
  static func columnSums(
    _ x: UnsafePointer<Float>, rows: Int, columns: Int, into d: UnsafeMutablePointer<Float>,
    beta: Float
  ) {
    parallelFor(columns, grain: max(16, grain / max(1, rows))) { r in
      lf_column_sums(x + r.lowerBound, rows, columns, r.count, d + r.lowerBound, beta)
    }
  }

  /// pre += bias, y = f(pre); `y` may be `pre` where there is no activation, or where the
  /// pre-activation is not wanted.
  static func biasActivation(
    _ activation: Activation, _ pre: UnsafeMutablePointer<Float>, _ bias: UnsafePointer<Float>?,
    _ y: UnsafeMutablePointer<Float>, rows: Int, columns: Int
  ) {
    parallelFor(rows, grain: max(1, grain / max(1, columns))) { r in
      let p = pre + r.lowerBound * columns
      let q = y + r.lowerBound * columns
      let count = r.count * columns
      switch activation {
      case .none:
        if let bias { lf_add_bias(p, bias, r.count, columns) }
      case .silu:
        if let bias { lf_bias_silu(p, bias, q, r.count, columns) } else { lf_silu(p, q, count) }
      case .geluTanh:
        if let bias {
          lf_bias_gelu_tanh(p, bias, q, r.count, columns)
        } else {
          lf_gelu_tanh(p, q, count)
        }
      }
    }
  }

  /// dx = beta·dx + dy·f′(pre); `dx` may be `dy`.
  static func activationPullback(
    _ activation: Activation, _ pre: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    _ dx: UnsafeMutablePointer<Float>, beta: Float, count: Int
  ) {
    if activation == .none { return }
    parallelFor(count, grain: grain / 4) { r in
      let (i, n) = (r.lowerBound, r.count)
      switch activation {
      case .none: break
      case .silu: lf_silu_pullback(pre + i, dy + i, dx + i, beta, n)
      case .geluTanh: lf_gelu_tanh_pullback(pre + i, dy + i, dx + i, beta, n)
      }
    }
  }

  static func activation(
    _ activation: Activation, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>,
    count: Int
  ) {
    parallelFor(count, grain: grain / 4) { r in
      let (i, n) = (r.lowerBound, r.count)
      switch activation {
      case .none: (y + i).update(from: x + i, count: n)
      case .silu: lf_silu(x + i, y + i, n)
      case .geluTanh: lf_gelu_tanh(x + i, y + i, n)
      }
    }
  }

  /// y = beta·y + s·x.
  static func scale(
    _ x: UnsafePointer<Float>, by s: Float, into y: UnsafeMutablePointer<Float>, beta: Float,
    count: Int
  ) {
    parallelFor(count, grain: grain) { r in
      lf_scale(x + r.lowerBound, s, y + r.lowerBound, beta, r.count)
    }
  }
}
