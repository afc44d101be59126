import FlowComm
import FlowData

/// Rows with what inpainting is told: the latents of the same pictures with holes, and the masks.
/// The hole of a sample is a function of (seed, step, index), so that an epoch sees other holes
/// than the one before; pictures are read and encoded anew in every step, by the rank that needs
/// them.
///
/// The autoencoder takes `FirstStage.batch` pictures at once: where a rank's samples of a step are
/// fewer, those of the next steps are encoded with them. With `scatters` rank 0 alone reads, and
/// sends each rank its pictures and masks.
public final class MaskedRows: LatentRowSource {
  private static let tag = 0x103

  private let base: any LatentRowSource
  private let stage: FirstStage
  /// On the ranks that read.
  private let images: (any ImageSource)?
  private let generator: MaskGenerator
  private let context: HoleContext
  private let seed: UInt64
  /// Of the pictures.
  private let size: ImageSize
  private let communicator: any Communicator
  private let scatters: Bool
  /// What was asked for and not taken yet, by step.
  private var asked: [Int: [[[LatentRequest]]]] = [:]
  /// What is encoded and not taken yet: the micro-batches of steps.
  private var ready: [Int: [LatentBatch.Masked]] = [:]

  /// - Parameters:
  ///   - base: the rows of the pictures themselves.
  ///   - images: the pictures of those rows, in their order; nil on ranks that do not read.
  ///   - latentShape: [H, W, C]
  public init(
    _ base: any LatentRowSource, _ stage: FirstStage, images: (any ImageSource)?,
    _ generator: MaskGenerator, _ context: HoleContext, seed: UInt64, latentShape: [Int],
    _ communicator: any Communicator, scatters: Bool
  ) {
    precondition(
      (images != nil) == (communicator.rank == 0 || !scatters),
      "pictures on rank \(communicator.rank)")
    (self.base, self.stage, self.images, self.generator) = (base, stage, images, generator)
    (self.context, self.seed) = (context, seed)
    (self.communicator, self.scatters) = (communicator, scatters)
    let factor = stage.downsamplingFactor
    size = ImageSize(width: latentShape[1] * factor, height: latentShape[0] * factor)
  }

  public func rows(
    step: Int, _ requests: (Int) -> [[[LatentRequest]]]
  ) throws -> [LatentBatch] {
    asked = asked.filter { $0.key >= step }
    func known(_ step: Int) -> [[[LatentRequest]]] {
      let found = asked[step] ?? requests(step)
      asked[step] = found
      return found
    }
    var batches = try base.rows(step: step, known)
    if ready[step] == nil { ready = try encoded(from: step, known) }
    for (k, masked) in ready.removeValue(forKey: step)!.enumerated() { batches[k].masked = masked }
    return batches
  }

  /// Collective: the next steps, as many as fill whole batches of the autoencoder.
  private func encoded(
    from step: Int, _ requests: (Int) -> [[[LatentRequest]]]
  ) throws -> [Int: [LatentBatch.Masked]] {
    let perStep = requests(step)[communicator.rank].reduce(0) { $0 + $1.count }
    let steps = step..<step + FirstStage.batch / commonDivisor(perStep, FirstStage.batch)
    let pictures = try steps.flatMap { try self.pictures(of: requests($0), step: $0) }
    let (mean, logvar) =
      switch context {
      case .latent: stage.encodeMasked(pictures)
      case .thumbnail(let cells): (stage.thumbnails(pictures, cells: cells), nil)
      }
    let row = mean.count / pictures.count
    var first = 0
    var result: [Int: [LatentBatch.Masked]] = [:]
    for step in steps {
      result[step] = requests(step)[communicator.rank].map { micro in
        let range = first * row..<(first + micro.count) * row
        defer { first += micro.count }
        return LatentBatch.Masked(
          context: context, mean: Array(mean[range]), logvar: logvar.map { Array($0[range]) },
          levels: pictures[first..<first + micro.count].flatMap(\.mask.levels))
      }
    }
    return result
  }

  /// Collective: this rank's pictures of one step.
  private func pictures(of all: [[[LatentRequest]]], step: Int) throws -> [MaskedPicture] {
    let served = images == nil ? [] : scatters ? Array(all.indices) : [communicator.rank]
    let read = try communicator.together {
      try served.map { rank in
        try all[rank].joined().map { try picture($0, images!, step: step) }
      }
    }
    for (rank, pictures) in zip(served, read) where rank != communicator.rank {
      let bytes = pictures.flatMap { $0.image.pixels + $0.mask.levels }
      try communicator.send(bytes, to: rank, tag: Self.tag)
    }
    if let own = served.firstIndex(of: communicator.rank) { return read[own] }
    return unpack(try communicator.receive(from: 0, tag: Self.tag))
  }

  private func picture(
    _ request: LatentRequest, _ images: any ImageSource, step: Int
  ) throws -> MaskedPicture {
    let i = request.index
    var image = try images.image(i)
    try stage.check(image.size, as: size, place: images.place(i))
    var map = generator.needsMap ? try images.map(i) : nil
    if request.flipped { (image, map) = (image.flippedHorizontally(), map?.flippedHorizontally()) }
    return MaskedPicture(
      image,
      try generator.mask(
        image.size, map: map, seed: seed, step: step, index: i, place: images.place(i)))
  }

  private func unpack(_ bytes: [UInt8]) -> [MaskedPicture] {
    let pixels = size.width * size.height
    precondition(bytes.count % (4 * pixels) == 0, "\(bytes.count) bytes for pictures of \(size)")
    return stride(from: 0, to: bytes.count, by: 4 * pixels).map { start in
      let image = Array(bytes[start..<start + 3 * pixels])
      let levels = Array(bytes[start + 3 * pixels..<start + 4 * pixels])
      return MaskedPicture(
        ImageBuffer(width: size.width, height: size.height, pixels: image),
        HoleMask(width: size.width, height: size.height, levels: levels))
    }
  }
}

private func commonDivisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : commonDivisor(b, a % b) }
