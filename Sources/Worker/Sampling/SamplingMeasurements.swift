import FlowComm
import FlowTensor

extension Sampler {
  /// Collective: evaluations of the velocity field of samples 0 ..< `count`, by index; nil on other
  /// ranks than 0. Nothing is decoded.
  public func evaluations(count: Int, _ communicator: any Communicator) throws -> [Int]? {
    var found = [Int](repeating: 0, count: count)
    try WorkQueue(communicator).run(count: plan.items(for: count)) { item in
      let first = item * plan.itemSize
      let numbers = try latents(first..<first + plan.itemSize).evaluations.map { Int64($0) }
      return numbers.withUnsafeBytes { Array($0) }
    } deliver: { item, bytes in
      let first = item * plan.itemSize
      bytes.withUnsafeBytes { numbers in
        for i in first..<min(first + plan.itemSize, count) {
          found[i] = Int(
            numbers.loadUnaligned(fromByteOffset: 8 * (i - first), as: Int64.self))
        }
      }
    }
    return communicator.rank == 0 ? found : nil
  }

  /// Seconds that this rank takes for one item from noise to pixels, once for each trial.
  ///
  /// - Parameter warmup: items before these, which are not counted.
  public func itemSeconds(trials: Int, warmup: Int) throws -> [Double] {
    let clock = ContinuousClock()
    return try (0..<warmup + trials).map { k in
      let begin = clock.now
      _ = try self(item: k)
      return (clock.now - begin) / .seconds(1)
    }.suffix(trials)
  }
}
