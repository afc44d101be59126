import Diagnostics
import FlowComm
import FlowCore
import FlowData
import FlowTensor

/// What is enlarged.
public enum UpscalingInput {
  case pictures(any ImageSource, ExifPolicy)
  /// Latents of another system, each multiplied by `scale` there.
  case latents(any LatentSource, scale: Float)
}

/// One enlarged picture, on rank 0.
public struct UpscaledPicture: Sendable {
  public let index: Int
  public let image: ImageBuffer
  /// What it was made of: the picture as it was given, or what a latent decodes to; nil if it was
  /// not asked for.
  public let low: ImageBuffer?
  /// Evaluations of the velocity fields of all stages.
  public let evaluations: Int
}

/// Enlarges pictures with one rank's copy of the networks, of which one at a time is in memory.
public final class Upscaler {
  private let stages: [UpscalingStage]
  private let firstStage: FirstStage
  private let input: UpscalingInput
  public let plan: UpscalingPlan
  /// Pictures below this number bring what they were made of.
  private let lowCount: Int
  private var loaded: (stage: Int, network: Network)?

  public init(
    _ stages: [UpscalingStage], _ firstStage: FirstStage, _ input: UpscalingInput,
    _ plan: UpscalingPlan, lowCount: Int = 0
  ) {
    (self.stages, self.firstStage, self.input) = (stages, firstStage, input)
    (self.plan, self.lowCount) = (plan, lowCount)
  }

  /// Pixels and unscaled latents are each other's through this alone.
  private var codec: PixelCodec { firstStage.codec(scale: 1) }

  /// Reads the parameters of every network once, the first last. Throws what reading them throws,
  /// before anything has been computed.
  public func checkNetworks() throws {
    for k in stages.indices.reversed() { _ = try network(of: k) }
  }

  /// Collective: all pictures over the ranks of a job, items handed out on demand.
  ///
  /// - Parameter deliver: on rank 0, as items are done, in any order of items.
  public func run(
    _ communicator: any Communicator, deliver: (UpscaledPicture) throws -> Void
  ) throws {
    try WorkQueue(communicator).run(count: plan.items.count) { k in
      pack(try enlarged(plan.items[k]))
    } deliver: { k, bytes in
      for picture in unpack(bytes, first: plan.items[k].pictures.lowerBound) {
        try deliver(picture)
      }
    }
  }

  private func enlarged(_ item: UpscalingItem) throws -> [UpscaledPicture] {
    let task = plan.tasks[item.pictures.lowerBound]
    let (low, pixels) = try start(item, task.padded)
    let wantsLow = item.pictures.lowerBound < lowCount
    let lowPixels = wantsLow ? try pixels ?? codec.decode(low) : nil
    var latents = low  // [B, h, w, C], not scaled
    var evaluations = [Int](repeating: 0, count: item.batch)
    for k in 0..<task.stages {
      let (next, counts) = try enlarge(latents, pixels: k == 0 ? pixels : nil, stage: k, item)
      latents = next
      for i in evaluations.indices { evaluations[i] += counts[i] }
    }
    let images = try codec.decode(latents)  // [B, H, W, 3]
    return item.pictures.enumerated().map { i, index in
      UpscaledPicture(
        index: index, image: finished(ImageBuffer(images, index: i), plan.tasks[index]),
        low: lowPixels.flatMap {
          index < lowCount
            ? ImageBuffer($0, index: i).cropped(to: plan.tasks[index].size) : nil
        },
        evaluations: evaluations[i])
    }
  }

  /// Without what was repeated at the edges, and not larger than asked for.
  private func finished(_ image: ImageBuffer, _ task: UpscalingTask) -> ImageBuffer {
    let whole = ImageSize(
      width: image.width * task.size.width / task.padded.width,
      height: image.height * task.size.height / task.padded.height)
    let cropped = image.cropped(to: whole)
    return whole == task.result
      ? cropped
      : cropped.resized(width: task.result.width, height: task.result.height, .bicubic)
  }

  /// One stage of a batch: unscaled latents in and out.
  private func enlarge(
    _ latents: Tensor, pixels: Tensor?, stage k: Int, _ item: UpscalingItem
  ) throws -> (Tensor, evaluations: [Int]) {
    let stage = stages[k]
    let e = stage.enlargement
    let (height, width) = (latents.shape[1], latents.shape[2])
    let given = UpscalingGivens(
      low: LowResolution(
        latent: stage.plan.scale * latents, images: stage.startsFromPixels ? pixels : nil),
      latentShape: [e.applied(to: height), e.applied(to: width), latents.shape[3]])
    let sampler = Sampler(try network(of: k), firstStage, stage.plan, givens: given)
    let first = item.pictures.lowerBound
    let (result, _, evaluations) = try sampler.latents(first..<first + item.batch)
    return ((1 / stage.plan.scale) * result, evaluations)
  }

  private func network(of k: Int) throws -> Network {
    if let loaded, loaded.stage == k { return loaded.network }
    loaded = nil  // its memory first
    let network = try stages[k].load()
    loaded = (k, network)
    return network
  }

  // MARK: - What an item begins with

  /// Unscaled latents, [B, h, w, C], and where there are pictures those, [B, H, W, 3].
  private func start(_ item: UpscalingItem, _ padded: ImageSize) throws -> (Tensor, Tensor?) {
    switch input {
    case .pictures(let source, let exif):
      let images = try item.pictures.map { i in
        let image = try source.contents(i).decoded(name: source.place(i), exif: exif)
        guard image.size == plan.tasks[i].size else {
          throw UserError(
            .badData, source.place(i), found: "\(image.size) pixels",
            expected: "\(plan.tasks[i].size), as before: the file has changed")
        }
        return edgePadded(tensor(of: [image]), height: padded.height, width: padded.width)
      }
      let pixels = filled(images, item.batch)
      return (try codec.encode(pixels), pixels)
    case .latents(let source, let scale):
      let f = firstStage.downsamplingFactor
      let latents = try item.pictures.map { i in
        let latent = Tensor(Shape([1] + source.latentShape), try source.latent(i).mean)
        return edgePadded(
          (1 / scale) * latent, height: padded.height / f, width: padded.width / f)
      }
      return (filled(latents, item.batch), nil)
    }
  }

  /// A batch of `count` samples: these, [1, …] each, and the first of them again and again.
  private func filled(_ samples: [Tensor], _ count: Int) -> Tensor {
    let result = Tensor(uninitialized: Shape([count] + samples[0].shape.dims.dropFirst()))
    let row = samples[0].count
    for i in 0..<count {
      let sample = i < samples.count ? samples[i] : samples[0]
      withExtendedLifetime(sample) {
        (result.base + i * row).update(from: sample.base, count: row)
      }
    }
    return result
  }

  // MARK: - On the way to rank 0

  /// For every picture number of evaluations, width and height, those of what it was made of or
  /// zeros, then the pixels of both.
  private func pack(_ pictures: [UpscaledPicture]) -> [UInt8] {
    var bytes = pack([Int64(pictures.count)])
    for picture in pictures {
      bytes += pack([
        Int64(picture.evaluations), Int64(picture.image.width), Int64(picture.image.height),
        Int64(picture.low?.width ?? 0), Int64(picture.low?.height ?? 0),
      ])
      bytes += picture.image.pixels
      bytes += picture.low?.pixels ?? []
    }
    return bytes
  }

  private func pack(_ numbers: [Int64]) -> [UInt8] { numbers.withUnsafeBytes { Array($0) } }

  private func unpack(_ bytes: [UInt8], first: Int) -> [UpscaledPicture] {
    var offset = 0
    func number() -> Int {
      defer { offset += 8 }
      return Int(
        bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Int64.self) })
    }
    func image(_ width: Int, _ height: Int) -> ImageBuffer? {
      guard width > 0 else { return nil }
      defer { offset += width * height * 3 }
      return ImageBuffer(
        width: width, height: height,
        pixels: Array(bytes[offset..<offset + width * height * 3]))
    }
    return (0..<number()).map { i in
      let (evaluations, width, height) = (number(), number(), number())
      let (lowWidth, lowHeight) = (number(), number())
      return UpscaledPicture(
        index: first + i, image: image(width, height)!, low: image(lowWidth, lowHeight),
        evaluations: evaluations)
    }
  }
}

/// The latents of a batch.
private struct UpscalingGivens: GivenSource {
  let low: LowResolution
  let latentShape: [Int]
  var count: Int { low.latent.shape[0] }

  func givens(_ range: Range<Int>) -> Givens {
    precondition(range.count == count, "\(range.count) samples of a batch of \(count)")
    return Givens(low: low)
  }
}

extension ImageBuffer {
  fileprivate func cropped(to size: ImageSize) -> ImageBuffer {
    size == self.size ? self : cropped(x: 0, y: 0, width: size.width, height: size.height)
  }
}
