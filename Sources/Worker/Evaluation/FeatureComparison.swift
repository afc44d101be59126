import FlowComm
import FlowMetrics
import FlowTensor

/// Figures that compare every sample with every real image, over the ranks of a job.
///
/// Blocks of rows, and the subsets of the kernel distance, are work items: who is free takes the
/// next, and its bits are the same whoever computes it. Every rank holds all features.
public struct FeatureComparison {
  private let real: FeaturePoints
  private let fake: FeaturePoints
  private let communicator: any Communicator

  /// Collective: all ranks get the features that rank 0 has.
  ///
  /// - Parameter real, fake: [N, D] and [M, D] on rank 0; nil elsewhere.
  public init(real: Tensor?, fake: Tensor?, _ communicator: any Communicator) throws {
    self.communicator = communicator
    func shared(_ features: Tensor?) throws -> FeaturePoints {
      let extents = try communicator.allGather(features?.shape.dims ?? [])[0]
      let all = features ?? Tensor(uninitialized: [extents[0], extents[1]])
      try communicator.broadcast(
        UnsafeMutableRawBufferPointer(start: all.base, count: 4 * all.count), from: 0)
      return FeaturePoints(all)
    }
    self.real = try shared(real)
    self.fake = try shared(fake)
  }

  /// Vectors of the smaller set.
  public var fewest: Int { min(real.count, fake.count) }

  /// Collective: the same on every rank as `PrecisionRecall(real:fake:neighbor:)`.
  public func precisionRecall(neighbor k: Int) throws -> PrecisionRecall {
    let (reals, fakes) = (real.blocks, fake.blocks)
    func byBlock<Value: BitwiseCopyable>(
      _ ofReal: (Range<Int>) -> [Value], _ ofFake: (Range<Int>) -> [Value]
    ) throws -> (real: [Value], fake: [Value]) {
      let all = try inOrder(reals.count + fakes.count) { item in
        item < reals.count ? ofReal(reals[item]) : ofFake(fakes[item - reals.count])
      }
      return (Array(all.prefix(real.count)), Array(all.dropFirst(real.count)))
    }
    let radii = try byBlock(
      { real.squaredRadii(neighbor: k, rows: $0) }, { fake.squaredRadii(neighbor: k, rows: $0) })
    let manifoldOfReal = FeatureManifold(real, squaredRadii: radii.real)
    let manifoldOfFake = FeatureManifold(fake, squaredRadii: radii.fake)
    let held = try byBlock(
      { manifoldOfFake.contains(real, rows: $0) }, { manifoldOfReal.contains(fake, rows: $0) })
    return PrecisionRecall(samplesHeld: held.fake, realsHeld: held.real)
  }

  /// Collective: the same on every rank as `KernelDistance(real:fake:subsets:subsetSize:seed:)`.
  public func kernelDistance(
    subsets: Int = 100, subsetSize: Int, seed: UInt64
  ) throws -> KernelDistance {
    let values = try inOrder(subsets) { subset in
      [
        KernelDistance.discrepancy(
          ofSubset: subset, real: real.features, fake: fake.features, subsetSize: subsetSize,
          seed: seed)
      ]
    }
    return KernelDistance(discrepancies: values)
  }

  /// Collective: the values of items 0 ..< `count`, one item after another, on every rank.
  private func inOrder<Value: BitwiseCopyable>(
    _ count: Int, _ compute: (Int) -> [Value]
  ) throws -> [Value] {
    var found = [[Value]](repeating: [], count: count)
    try WorkQueue(communicator).run(count: count) { item in
      compute(item).withUnsafeBytes { Array($0) }
    } deliver: { item, bytes in
      found[item] = bytes.withUnsafeBytes { raw in
        stride(from: 0, to: raw.count, by: MemoryLayout<Value>.stride).map {
          raw.loadUnaligned(fromByteOffset: $0, as: Value.self)
        }
      }
    }
    return try communicator.allGather(found.flatMap { $0 })[0]
  }
}
