import FlowTensor

/// The largest singular value of a map's Jacobian at given points: how much the map stretches
/// there. By power iteration on JᵀJ, with J·u from central differences and Jᵀ·w from the tape.
///
/// The largest over points is a lower estimate of the map's Lipschitz constant, never more.
public struct JacobianNorm: Equatable, Sendable {
  public var iterations: Int
  /// Distance from the point at which differences are taken, in the units of x.
  public var step: Float

  public init(iterations: Int = 20, step: Float = 0.05) {
    precondition(iterations > 0 && step > 0, "\(iterations) iterations, steps of \(step)")
    (self.iterations, self.step) = (iterations, step)
  }

  /// - Parameters:
  ///   - x: the points, [B, …]
  ///   - start: first directions, [B, …], in general position: normal draws
  ///   - f: maps [B, …] to [B, …] sample by sample, and is recorded where x rides a tape
  /// - Returns: ‖J‖₂ at each point
  public func callAsFunction(
    at x: Tensor, start: Tensor, _ f: (Tensor) -> Tensor
  ) -> [Double] {
    precondition(x.shape == start.shape, "directions \(start.shape) at points \(x.shape)")
    var direction = normalized(start)
    var stretched = difference(f, at: x, along: direction)  // J·u
    for _ in 0..<iterations {
      direction = normalized(pullback(of: stretched, at: x, f))
      stretched = difference(f, at: x, along: direction)
    }
    return norms(of: stretched)
  }

  /// (f(x + h·u) − f(x − h·u)) / 2h, [B, …]
  private func difference(_ f: (Tensor) -> Tensor, at x: Tensor, along u: Tensor) -> Tensor {
    let (ahead, behind) = (
      f(linearCombination([x, u], coefficients: [1, step])),
      f(linearCombination([x, u], coefficients: [1, -step]))
    )
    return linearCombination([ahead, behind], coefficients: [0.5 / step, -0.5 / step])
  }

  /// Jᵀ·w, of the shape of x.
  private func pullback(of w: Tensor, at x: Tensor, _ f: (Tensor) -> Tensor) -> Tensor {
    let tape = Tape()
    let point = tape.ride(x)
    tape.backward(from: innerProduct(f(point), w))
    guard let values = point.gradient?.values else { return Tensor(x.shape, fill: 0) }
    return Tensor(x.shape, values)
  }

  /// Rows of length 1; a row of zeros stays.
  private func normalized(_ u: Tensor) -> Tensor {
    let scales = norms(of: u).map { $0 > 0 ? Float(1 / $0) : 0 }
    return linearCombination([u], coefficients: scales)
  }

  private func norms(of u: Tensor) -> [Double] {
    let row = u.count / u.shape[0]
    return (0..<u.shape[0]).map { b in
      var sum = 0.0
      for i in b * row..<(b + 1) * row { sum += Double(u.base[i]) * Double(u.base[i]) }
      return sum.squareRoot()
    }
  }
}
