import CKernels

// Arithmetic of states: one fused pass over n tensors. A tensor is a row of `groups` equal parts,
// each with its own coefficients: one group per sample, or one for the whole batch.

/// out = base + Σ_i c_i · terms_i, group by group.
///
/// - Parameters:
///   - base: added with coefficient 1; nil stands for zero.
///   - terms: tensors of the size of `out`. Those with coefficient 0 are not read.
///   - coefficients: [groups, terms], row-major; the number of groups follows from its size and
///     must divide the number of elements.
///   - out: overwritten; may be `base`.
public func linearCombination(
  _ base: Tensor?, _ terms: [Tensor], coefficients: [Float], into out: Tensor
) {
  let groups = GroupedTerms(terms, coefficients: coefficients, like: out)
  precondition(
    base == nil || base!.count == out.count,
    "base of shape \(base!.shape) for a result of shape \(out.shape)")
  groups.forEachChunk { pointers, coefficients, range, _ in
    lf_linear_combination(
      out.base + range.lowerBound, base.map { UnsafePointer($0.base + range.lowerBound) },
      pointers, coefficients, terms.count, range.count)
  }
}

/// Σ_i c_i · terms_i, group by group, of the shape of the first term.
public func linearCombination(_ terms: [Tensor], coefficients: [Float]) -> Tensor {
  let out = Tensor(uninitialized: terms[0].shape)
  linearCombination(nil, terms, coefficients: coefficients, into: out)
  return out
}

/// Root mean square of e / (absolute + relative · max(|a|, |b|)) with e = Σ_i c_i · terms_i, for
/// each group. Sums are Double over fixed chunks in chunk order: the same for any thread count.
///
/// - Parameter coefficients: [groups, terms].
public func scaledRootMeanSquare(
  of terms: [Tensor], coefficients: [Float], a: Tensor, b: Tensor,
  absolute: Double, relative: Double
) -> [Double] {
  let groups = GroupedTerms(terms, coefficients: coefficients, like: a)
  precondition(a.count == b.count, "states of shapes \(a.shape) and \(b.shape)")
  var partial = [Double](repeating: 0, count: groups.chunkCount)
  partial.withUnsafeMutableBufferPointer { partial in
    nonisolated(unsafe) let partial = partial
    groups.forEachChunk { pointers, coefficients, range, chunk in
      partial[chunk] = lf_scaled_square_sum(
        pointers, coefficients, terms.count, a.base + range.lowerBound,
        b.base + range.lowerBound, Float(absolute), Float(relative), range.count)
    }
  }
  return (0..<groups.groups).map { group in
    let first = group * groups.chunksPerGroup
    let sum = partial[first..<first + groups.chunksPerGroup].reduce(0, +)
    return (sum / Double(groups.groupSize)).squareRoot()
  }
}

/// The quartic through `y0`, `middle` and `y1` with slopes `f0` and `f1` at the ends of a step
/// `dt`, evaluated at the fraction `x` of the step. All of one size.
public func quarticInterpolation(
  y0: Tensor, middle: Tensor, y1: Tensor, f0: Tensor, f1: Tensor, dt: Float, at x: Float,
  into out: Tensor
) {
  precondition([y0, middle, y1, f0, f1].allSatisfy { $0.count == out.count })
  parallelFor(out.count, grain: 16_384) { r in
    let i = r.lowerBound
    lf_quartic(
      out.base + i, y0.base + i, middle.base + i, y1.base + i, f0.base + i, f1.base + i, dt, x,
      r.count)
  }
}

/// The split of a grouped combination into chunks that lie inside one group each.
private struct GroupedTerms {
  static let chunk = 16_384

  let terms: [Tensor]
  let coefficients: [Float]
  let groups: Int
  let groupSize: Int
  let chunksPerGroup: Int

  var chunkCount: Int { groups * chunksPerGroup }

  init(_ terms: [Tensor], coefficients: [Float], like state: Tensor) {
    precondition(!terms.isEmpty && coefficients.count % terms.count == 0,
      "\(coefficients.count) coefficients for \(terms.count) terms")
    let groups = coefficients.count / terms.count
    precondition(
      groups > 0 && state.count % groups == 0, "\(groups) groups of a tensor of \(state.shape)")
    for term in terms {
      precondition(term.count == state.count, "term of shape \(term.shape) beside \(state.shape)")
    }
    self.terms = terms
    self.coefficients = coefficients
    self.groups = groups
    groupSize = state.count / groups
    chunksPerGroup = max(1, (groupSize + GroupedTerms.chunk - 1) / GroupedTerms.chunk)
  }

  typealias Body = (
    _ terms: UnsafePointer<UnsafePointer<Float>?>, _ coefficients: UnsafePointer<Float>,
    _ range: Range<Int>, _ chunk: Int
  ) -> Void

  func forEachChunk(_ body: Body) {
    coefficients.withUnsafeBufferPointer { coefficients in
      parallelFor(chunkCount, grain: 1) { chunks in
        withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: terms.count) {
          pointers in
          for chunk in chunks {
            let group = chunk / chunksPerGroup
            let first = group * groupSize + chunk % chunksPerGroup * GroupedTerms.chunk
            let range = first..<min(first + GroupedTerms.chunk, (group + 1) * groupSize)
            for i in terms.indices { pointers[i] = UnsafePointer(terms[i].base + first) }
            body(
              UnsafePointer(pointers.baseAddress!), coefficients.baseAddress! + group * terms.count,
              range, chunk)
          }
        }
      }
    }
  }
}
