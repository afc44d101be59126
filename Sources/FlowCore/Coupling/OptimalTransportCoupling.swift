import FlowTensor

/// Sources handed out anew inside fixed groups of samples, so that the squared distances of all
/// pairs add up to the least.
/// Tong et al. 2023, «Improving and generalizing flow-based generative models with minibatch
/// optimal transport», arXiv 2302.00482, section 3.2; Pooladian et al. 2023, arXiv 2304.14772.
///
/// A group is `groupSize` consecutive samples of a micro-batch, whatever the ranks. Contexts stay
/// with their data. While sampling there is nothing to pair with, and sources stay as they are.
public struct OptimalTransportCoupling: Coupling {
  public let base: any Coupling
  public let groupSize: Int

  public init(_ base: any Coupling, groupSize: Int) {
    precondition(groupSize >= 1, "optimal transport in groups of \(groupSize)")
    (self.base, self.groupSize) = (base, groupSize)
  }

  public var fillsWithNoise: Bool { base.fillsWithNoise }

  public func callAsFunction(
    _ batch: CouplingBatch, codec: PixelCodec?
  ) throws -> CoupledSource {
    var coupled = try base(batch, codec: codec)
    guard let data = batch.data else { return coupled }
    let source = coupled.source
    let (b, d) = (data.shape[0], data.count / max(1, data.shape[0]))
    precondition(
      source.shape == data.shape && b % groupSize == 0,
      "optimal transport from \(source.shape) to \(data.shape) in groups of \(groupSize)")
    let result = Tensor(uninitialized: source.shape)
    for first in stride(from: 0, to: b, by: groupSize) {
      let costs = squaredDistances(from: data, to: source, rows: first..<first + groupSize)
      for (i, j) in leastCostAssignment(costs, count: groupSize).enumerated() {
        (result.base + (first + i) * d).update(from: source.base + (first + j) * d, count: d)
      }
    }
    coupled.source = result
    return coupled
  }
}

/// |a_i − b_j|² for the given rows of both, [n, n], summed in Double in the order of the elements.
private func squaredDistances(from a: Tensor, to b: Tensor, rows: Range<Int>) -> [Double] {
  let (n, d) = (rows.count, a.count / max(1, a.shape[0]))
  var costs = [Double](repeating: 0, count: n * n)
  costs.withUnsafeMutableBufferPointer { costs in
    nonisolated(unsafe) let costs = costs
    parallelFor(n * n, grain: max(1, 16_384 / max(1, d))) { pairs in
      for pair in pairs {
        let x = a.base + (rows.lowerBound + pair / n) * d
        let y = b.base + (rows.lowerBound + pair % n) * d
        var sum = 0.0
        for k in 0..<d {
          let difference = Double(x[k]) - Double(y[k])
          sum += difference * difference
        }
        costs[pair] = sum
      }
    }
  }
  return costs
}
