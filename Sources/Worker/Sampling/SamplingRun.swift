import Diagnostics
import FlowComm
import FlowData
import FlowTensor

/// One finished sample, on rank 0.
public struct FinishedSample: Sendable {
  public let index: Int
  public let label: Int?
  public let image: ImageBuffer
  /// Evaluations of the velocity field.
  public let evaluations: Int
}

extension Sampler {
  /// Collective: samples 0 ..< `count` over the ranks of a job, items handed out on demand.
  ///
  /// - Parameter deliver: on rank 0, as items are done, in any order of items.
  public func run(
    count: Int, _ communicator: any Communicator, deliver: (FinishedSample) throws -> Void
  ) throws {
    try WorkQueue(communicator).run(count: plan.items(for: count)) { item in
      pack(try self(item: item), count: count)
    } deliver: { item, bytes in
      for sample in unpack(bytes, item: item) { try deliver(sample) }
    }
  }

  /// Collective: the same, gathered in order of their indices; nil on other ranks.
  public func images(
    count: Int, _ communicator: any Communicator
  ) throws -> [FinishedSample]? {
    var samples: [FinishedSample] = []
    try run(count: count, communicator) { samples.append($0) }
    return communicator.rank == 0 ? samples.sorted { $0.index < $1.index } : nil
  }

  /// Height, width, number; then label and evaluations of each; then pixels.
  private func pack(_ item: SampledItem, count: Int) -> [UInt8] {
    let wanted = min(plan.itemSize, count - item.firstIndex)
    let buffers = (0..<wanted).map { ImageBuffer(item.images, index: $0) }
    var numbers = [Int64(buffers[0].height), Int64(buffers[0].width), Int64(wanted)]
    for i in 0..<wanted {
      numbers += [Int64(item.labels?[i] ?? -1), Int64(item.evaluations[i])]
    }
    return numbers.withUnsafeBytes { Array($0) } + buffers.flatMap(\.pixels)
  }

  private func unpack(_ bytes: [UInt8], item: Int) -> [FinishedSample] {
    func number(_ i: Int) -> Int {
      Int(bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 8 * i, as: Int64.self) })
    }
    let (height, width, count) = (number(0), number(1), number(2))
    let pixels = height * width * 3
    let start = 8 * (3 + 2 * count)
    return (0..<count).map { i in
      let label = number(3 + 2 * i)
      return FinishedSample(
        index: item * plan.itemSize + i, label: label < 0 ? nil : label,
        image: ImageBuffer(
          width: width, height: height,
          pixels: Array(bytes[start + i * pixels..<start + (i + 1) * pixels])),
        evaluations: number(4 + 2 * i))
    }
  }
}
