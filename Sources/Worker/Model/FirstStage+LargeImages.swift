import Diagnostics
import FlowComm
import FlowModels
import FlowTensor

/// How much memory a rank's process may take while it works on an image.
public struct MemoryLimit: Equatable, Sendable {
  public let bytes: Int
  /// As the user wrote it.
  public let text: String

  /// - Parameter text: a number of bytes with a unit, k, M or G for powers of ten, KiB, MiB or GiB
  ///   for powers of two: 3G, 2.5GB, 800MiB
  /// - Returns: nil for anything else
  public init?(_ text: String) {
    let digits = text.prefix { $0.isNumber || $0 == "." }
    let units = [
      "k": 1e3, "m": 1e6, "g": 1e9, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 1024.0,
      "mib": 1_048_576.0, "gib": 1_073_741_824.0,
    ]
    guard let number = Double(digits), let unit = units[text.dropFirst(digits.count).lowercased()],
      number * unit >= 1, number * unit < 1e15
    else { return nil }
    (bytes, self.text) = (Int(number * unit), text)
  }
}

extension RowRanks {
  /// The ranks of a job, which then compute one image together.
  public init(_ communicator: any Communicator) {
    self.init(rank: communicator.rank, count: communicator.size) { sending, receiving, peer in
      try communicator.exchange(
        sending: sending, receiving: receiving, with: peer, tag: rowsTag)
    }
  }
}

/// Of messages of rows.
private let rowsTag = 0x120

// One large image at a time, shared by all ranks.
extension FirstStage {
  /// What the process takes beside tensors while an image is computed: compiled products, buffers
  /// of messages.
  private static let reserve = 64_000_000

  /// `encode` of one image by all ranks together, each a part of its rows, strip after strip; equal
  /// to that of one rank and to the untiled one to rounding. Collective.
  ///
  /// - Parameters:
  ///   - image: [1, H, W, 3] in [−1, 1], the same on every rank; sides that `downsamplingFactor`
  ///     divides
  ///   - memory: what no rank's process may exceed; nil for the fastest way
  /// - Returns: the same on every rank
  /// - Throws: `UserError` of status `usage`, before anything is computed, if the limit cannot be
  ///   met.
  public func encode(
    _ image: Tensor, sharedBy communicator: any Communicator, memory: MemoryLimit?
  ) throws -> (mean: Tensor, logvar: Tensor?) {
    guard let network else { return (image, nil) }
    let posterior = try limited(
      network, .encoding, (image.shape[1], image.shape[2]), communicator, memory
    ) { try network.encode(image, $0) }
    return (posterior.mean, posterior.logvar)
  }

  /// `decode` of one latent by all ranks together, as `encode(_:sharedBy:memory:)`. Collective.
  ///
  /// - Parameter z: [1, h, w, C], not scaled, the same on every rank
  /// - Returns: [1, H, W, 3], the same on every rank
  public func decode(
    _ z: Tensor, sharedBy communicator: any Communicator, memory: MemoryLimit?
  ) throws -> Tensor {
    guard let network else { return z }
    let f = downsamplingFactor
    return try limited(
      network, .decoding, (z.shape[1] * f, z.shape[2] * f), communicator, memory
    ) { try network.decode(z, $0) }
  }

  private func limited<Result>(
    _ network: AutoencoderKL, _ direction: AutoencoderKL.Direction, _ extents: (Int, Int),
    _ communicator: any Communicator, _ memory: MemoryLimit?, _ body: (StripPlan) throws -> Result
  ) throws -> Result {
    // The ranks plan for the one that has most in memory already.
    releaseFreeTensorMemory()
    let resident = try communicator.together { try residentBytes() }
    let occupied =
      Int(try communicator.allReduce([Int64(resident)], .max)[0]) + Self.reserve
    let plan = try network.stripPlan(
      direction, height: extents.0, width: extents.1, ranks: RowRanks(communicator),
      limit: memory.map { $0.bytes - occupied }, occupied: occupied,
      subject: memory.map { "--memory \($0.text)" } ?? "memory")
    setTensorMemoryCeiling(tensorMemory().held + plan.peakBytes)
    defer {
      setTensorMemoryCeiling(nil)
      releaseFreeTensorMemory()
    }
    return try body(plan)
  }
}
