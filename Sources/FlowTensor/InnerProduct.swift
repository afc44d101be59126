import CKernels

/// Σ aᵢ·bᵢ, a scalar; `b` is a constant. Backward from it brings Jᵀ·b to what `a` was computed
/// from.
public func innerProduct(_ a: Tensor, _ b: Tensor) -> Tensor {
  precondition(a.shape == b.shape, "innerProduct of \(a.shape) and \(b.shape)")
  let n = a.count
  var sum = 0.0
  for i in 0..<n { sum += Double(a.base[i]) * Double(b.base[i]) }
  let y = Tensor([], [Float(sum)])
  guard let tape = a.tape else { return y }
  let (bs, bo, da) = (b.storage, b.offset, a.gradient)
  return tape.record(y, leaves: [da]) { dy in
    da?.add { d, beta in Kernel.scale(bs.base + bo, by: dy.base[0], into: d, beta: beta, count: n) }
  }
}
