import Diagnostics
import FlowComm
import FlowData
import FlowMetrics
import FlowTensor

/// How close one up-sampled picture comes to the real one, or bicubic resampling does.
public struct PictureErrors: Equatable, Sendable {
  /// Of levels in [0, 1].
  public var meanSquaredError: Double
  /// In dB.
  public var peakSignalToNoise: Double
  public var structuralSimilarity: Double
  /// Mean square of the Laplacian.
  public var highFrequencies: Double

  static let count = 4
  var values: [Double] {
    [meanSquaredError, peakSignalToNoise, structuralSimilarity, highFrequencies]
  }

  init(_ values: ArraySlice<Double>) {
    let v = Array(values)
    (meanSquaredError, peakSignalToNoise) = (v[0], v[1])
    (structuralSimilarity, highFrequencies) = (v[2], v[3])
  }

  public static func mean(_ all: [PictureErrors]) -> PictureErrors {
    PictureErrors(
      (0..<count).map { i in
        all.reduce(0.0) { $0 + $1.values[i] } / Double(max(1, all.count))
      }[...])
  }
}

/// Of each picture of `found` against the same of `real`, [B, H, W, 3] in [0, 1].
private func pictureErrors(_ found: Tensor, _ real: Tensor) -> [PictureErrors] {
  let errors = meanSquaredErrors(found, real)
  let ratios = peakSignalToNoise(found, real)
  let similarities = structuralSimilarity(found, real)
  let energies = laplacianEnergies(found)
  return errors.indices.map {
    PictureErrors([errors[$0], ratios[$0], similarities[$0], energies[$0]])
  }
}

/// What a validation found of one picture, on rank 0.
public struct ValidatedPicture: Sendable {
  public let index: Int
  public let model: PictureErrors
  public let bicubic: PictureErrors
  /// High frequencies of the real picture.
  public let realHighFrequencies: Double
  public let evaluations: Int
  /// Features of crops of the model's picture and of the real one, [crops][D]; empty without.
  public let features: (model: [Float], real: [Float])
  /// Real, small and the model's; nil for pictures that are not shown.
  public let shown: Shown?

  public struct Shown: Sendable {
    public let real, small, model: ImageBuffer
  }
}

/// Held-out pictures, made small, up-sampled by the model and compared with what they were, over
/// all ranks; the same figures on any number of them.
public struct UpsamplingValidation {
  private let sampler: Sampler
  private let pairs: SmallImages
  private let judge: (extractor: FeatureExtractor, patches: PatchCrops)?
  private let shownCount: Int

  /// - Parameters:
  ///   - judge: crops of the pictures are compared by the features of this network.
  ///   - shownCount: the first pictures come back as such.
  public init(
    _ network: Network, _ firstStage: FirstStage, _ plan: SamplingPlan, _ pairs: SmallImages,
    judge: (extractor: FeatureExtractor, patches: PatchCrops)? = nil, shownCount: Int = 0
  ) {
    sampler = Sampler(network, firstStage, plan, givens: pairs)
    (self.pairs, self.judge, self.shownCount) = (pairs, judge, shownCount)
  }

  /// Collective.
  ///
  /// - Parameter progress: on rank 0, with the number of pictures done.
  /// - Returns: on rank 0, in order of the pictures; empty elsewhere.
  public func run(
    _ communicator: any Communicator, progress: (Int) -> Void = { _ in }
  ) throws -> [ValidatedPicture] {
    var found: [ValidatedPicture] = []
    try WorkQueue(communicator).run(count: sampler.plan.items(for: pairs.count)) { item in
      try pack(item)
    } deliver: { item, bytes in
      found += unpack(bytes, item: item)
      progress(found.count)
    }
    return found.sorted { $0.index < $1.index }
  }

  private func range(_ item: Int) -> Range<Int> {
    let first = item * sampler.plan.itemSize
    return first..<min(first + sampler.plan.itemSize, pairs.count)
  }

  private func pack(_ item: Int) throws -> [UInt8] {
    let range = range(item)
    let sampled = try sampler(item: item)
    let model = range.map { ImageBuffer(sampled.images, index: $0 - range.lowerBound) }
    let real = try range.map { try pairs.picture($0) }
    let small = real.map { $0.lowResolution(pairs.lowSize) }
    let bicubic = small.map {
      $0.resized(width: real[0].width, height: real[0].height, .bicubic)
    }
    let levels = unit(real)  // [n, H, W, 3]
    let errors = pictureErrors(unit(model), levels)
    let baseline = pictureErrors(unit(bicubic), levels)
    let energies = laplacianEnergies(levels)
    var bytes: [UInt8] = []
    for i in range.indices.map({ $0 - range.lowerBound }) {
      let figures =
        errors[i].values + baseline[i].values + [energies[i], Double(sampled.evaluations[i])]
      figures.withUnsafeBytes { bytes += $0 }
    }
    if let (extractor, patches) = judge {
      for pictures in [model, real] {
        let crops = pictures.enumerated().flatMap {
          patches.crops(of: $1, index: range.lowerBound + $0)
        }
        extractor.features(crops).values.withUnsafeBytes { bytes += $0 }
      }
    }
    for (i, index) in range.enumerated() where index < shownCount {
      bytes += real[i].pixels + small[i].pixels + model[i].pixels
    }
    return bytes
  }

  private func unpack(_ bytes: [UInt8], item: Int) -> [ValidatedPicture] {
    let range = range(item)
    let n = range.count
    var offset = 0
    func take<Element>(_ count: Int, _ zero: Element) -> [Element] {
      let size = count * MemoryLayout<Element>.stride
      defer { offset += size }
      return [Element](unsafeUninitializedCapacity: count) { buffer, filled in
        UnsafeMutableRawBufferPointer(buffer).copyBytes(from: bytes[offset..<offset + size])
        filled = count
      }
    }
    let width = 2 * PictureErrors.count + 2
    let figures = take(n * width, 0.0)
    let crops = judge.map { $0.patches.perImage * $0.extractor.dimension } ?? 0
    let (model, real) = (take(n * crops, Float(0)), take(n * crops, Float(0)))
    let full = ImageSize(
      width: pairs.latentShape[1] * sampler.firstStage.downsamplingFactor,
      height: pairs.latentShape[0] * sampler.firstStage.downsamplingFactor)
    func picture(_ size: ImageSize) -> ImageBuffer {
      let pixels = take(size.width * size.height * 3, UInt8(0))
      return ImageBuffer(width: size.width, height: size.height, pixels: pixels)
    }
    return range.map { index in
      let i = index - range.lowerBound
      let row = figures[i * width..<(i + 1) * width]
      let first = row.startIndex
      let shown = index < shownCount
        ? ValidatedPicture.Shown(
          real: picture(full), small: picture(full.lowResolution(pairs.lowSize)),
          model: picture(full)) : nil
      return ValidatedPicture(
        index: index, model: PictureErrors(row[first..<first + PictureErrors.count]),
        bicubic: PictureErrors(row[first + PictureErrors.count..<first + 2 * PictureErrors.count]),
        realHighFrequencies: row[first + width - 2], evaluations: Int(row[first + width - 1]),
        features: (
          Array(model[i * crops..<(i + 1) * crops]), Array(real[i * crops..<(i + 1) * crops])
        ), shown: shown)
    }
  }
}

/// [B, H, W, 3] in [0, 1]
private func unit(_ images: [ImageBuffer]) -> Tensor {
  let x = tensor(of: images)
  for i in 0..<x.count { x.base[i] = 0.5 * x.base[i] + 0.5 }
  return x
}
