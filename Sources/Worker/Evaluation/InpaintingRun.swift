import FlowComm
import FlowData
import FlowMetrics
import FlowModels
import FlowTensor

/// Figures of one completed picture against its original.
public struct PairFigures: Equatable, Sendable {
  /// The share of the picture that was filled in.
  public var area: Double
  /// Mean |a − b| of levels in [0, 1].
  public var absoluteError: Double
  /// In dB; infinite for equal pictures.
  public var peakSignalToNoise: Double
  public var structuralSimilarity: Double
  /// LPIPS; nil without its network.
  public var perceptualDistance: Double?

  static let numbers = 5

  var packed: [Double] {
    [area, absoluteError, peakSignalToNoise, structuralSimilarity, perceptualDistance ?? .nan]
  }

  init(packed: some RandomAccessCollection<Double>) {
    let p = Array(packed)
    (area, absoluteError, peakSignalToNoise, structuralSimilarity) = (p[0], p[1], p[2], p[3])
    perceptualDistance = p[4].isNaN ? nil : p[4]
  }
}

/// What is known of all pairs, in their order, on rank 0.
public struct InpaintingMeasurements {
  public var pairs: [PairFigures]
  /// Features of the originals and of the completed pictures, [N, D] each; nil without a network.
  public var real: Tensor?
  public var fake: Tensor?
}

/// Completed pictures → figures and features of each, over the ranks of a job.
public struct InpaintingRun {
  /// Pairs of one work item; always filled up to this many, so that a pair's bits do not depend on
  /// how many there are.
  static let itemSize = 32

  let pictures: InpaintedPictures
  let extractor: FeatureExtractor?
  let perceptual: PerceptualNetwork?

  public init(
    _ pictures: InpaintedPictures, extractor: FeatureExtractor?, perceptual: PerceptualNetwork?
  ) {
    (self.pictures, self.extractor, self.perceptual) = (pictures, extractor, perceptual)
  }

  /// Collective: the measurements on rank 0, nil elsewhere.
  ///
  /// - Parameters:
  ///   - count: pairs, from the first on.
  ///   - progress: on rank 0, with the pairs done.
  public func run(
    count: Int, _ communicator: any Communicator, progress: (Int) -> Void
  ) throws -> InpaintingMeasurements? {
    let items = (count + Self.itemSize - 1) / Self.itemSize
    func range(_ k: Int) -> Range<Int> { k * Self.itemSize..<min(count, (k + 1) * Self.itemSize) }
    var found = [[UInt8]](repeating: [], count: items)
    var done = 0
    try WorkQueue(communicator).run(count: items) {
      try measure(range($0))
    } deliver: { k, bytes in
      found[k] = bytes
      done += range(k).count
      progress(done)
    }
    return communicator.rank == 0 ? unpack(found, count: count) : nil
  }

  /// Figures of each pair, then features of the originals, then those of the results.
  private func measure(_ range: Range<Int>) throws -> [UInt8] {
    let triples = try range.map { try pictures.triple($0) }
    // Pictures of one item may differ in size: products want one.
    let size = triples[0].original.size
    let alike = triples.allSatisfy { $0.original.size == size }
    let groups = alike ? [triples] : triples.map { [$0] }
    var numbers: [Double] = []
    var (real, fake) = ([Float](), [Float]())
    for group in groups {
      let filling = Array(repeating: group[0], count: Self.itemSize - group.count)
      let (originals, results) = (
        (group + filling).map(\.original), (group + filling).map(\.result)
      )
      numbers += figures(group, originals, results).flatMap(\.packed)
      if let extractor {
        let n = group.count * extractor.dimension
        real += extractor.features(originals).values[..<n]
        fake += extractor.features(results).values[..<n]
      }
    }
    return numbers.withUnsafeBytes { Array($0) } + real.withUnsafeBytes { Array($0) }
      + fake.withUnsafeBytes { Array($0) }
  }

  private func figures(
    _ group: [InpaintedPictures.Triple], _ originals: [ImageBuffer], _ results: [ImageBuffer]
  ) -> [PairFigures] {
    let (a, b) = (tensor(of: originals), tensor(of: results))
    let (x, y) = (levels(originals), levels(results))
    let distances = perceptual.map {
      perceptualDistances($0.maps(a), $0.maps(b), weights: $0.channelWeights)
    }
    let errors = meanAbsoluteErrors(x, y)
    let ratios = peakSignalToNoise(x, y)
    let similarities = structuralSimilarity(x, y)
    return group.indices.map { i in
      PairFigures(packed: [
        group[i].mask.area, errors[i], ratios[i], similarities[i], distances?[i] ?? .nan,
      ])
    }
  }

  /// [B, H, W, 3] in [0, 1]
  private func levels(_ images: [ImageBuffer]) -> Tensor {
    let size = images[0].size
    return Tensor(
      [images.count, size.height, size.width, 3],
      images.flatMap { $0.pixels.map { Float($0) / 255 } })
  }

  private func unpack(_ items: [[UInt8]], count: Int) -> InpaintingMeasurements {
    let d = extractor?.dimension ?? 0
    var pairs: [PairFigures] = []
    var (real, fake) = ([Float](), [Float]())
    for bytes in items {
      let n = bytes.count / (8 * PairFigures.numbers + 8 * d)
      bytes.withUnsafeBytes { raw in
        for i in 0..<n {
          pairs.append(
            PairFigures(
              packed: (0..<PairFigures.numbers).map { j in
                raw.loadUnaligned(
                  fromByteOffset: 8 * (i * PairFigures.numbers + j), as: Double.self)
              }))
        }
        let start = 8 * PairFigures.numbers * n
        for i in 0..<n * d {
          real.append(raw.loadUnaligned(fromByteOffset: start + 4 * i, as: Float.self))
          fake.append(raw.loadUnaligned(fromByteOffset: start + 4 * (n * d + i), as: Float.self))
        }
      }
    }
    return InpaintingMeasurements(
      pairs: pairs, real: d > 0 ? Tensor([count, d], real) : nil,
      fake: d > 0 ? Tensor([count, d], fake) : nil)
  }
}
