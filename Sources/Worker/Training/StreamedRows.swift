import Diagnostics
import FlowComm
import FlowData

/// Latents of pictures, made as they are needed: decoded ahead in the background, encoded on the
/// calling thread in the batches of `encode`. A row is therefore, bit for bit, that of a cache, and
/// depends neither on the ranks nor on how far ahead is decoded.
///
/// Every rank goes through the sequence of its own requests in rounds of one encoder batch. As all
/// ranks take equally many rows a step, their rounds fall together, and an error in one of them is
/// the error of all. With `scatter` rank 0 alone decodes, and sends each rank its pixels.
public final class StreamedRows: LatentRowSource {
  public struct Settings: Sendable {
    /// Pictures that may lie decoded before they are needed.
    public var prefetch: Int
    /// Decoding threads.
    public var decoders: Int
    /// Rank 0 decodes for all.
    public var scatters: Bool

    public init(prefetch: Int = 64, decoders: Int = 1, scatters: Bool = false) {
      (self.prefetch, self.decoders, self.scatters) = (prefetch, decoders, scatters)
    }
  }

  private struct Row {
    var mean: ArraySlice<Float>
    var logvar: ArraySlice<Float>?
    var label: Int?
    var lowMean: ArraySlice<Float>?
    var lowLogvar: ArraySlice<Float>?
    var classMap: [UInt8]?
  }

  private struct Picture {
    var image: ImageBuffer
    var label: Int?
    /// Class of every pixel.
    var classMap: [UInt8]?
  }

  private static let tag = 0x102
  private static let round = FirstStage.batch

  private let stage: FirstStage
  private let description: LatentCacheDescription
  private let communicator: any Communicator
  private let settings: Settings
  /// On the ranks that decode.
  private let source: (any ImageSource)?
  private let pool: DecodingPool?
  /// The ranks whose pictures are decoded here.
  private let served: [Int]

  /// Rows of this rank that are encoded and not yet taken.
  private var ready: [Row] = []
  /// Micro-batches of this rank in the steps that are planned and not yet taken.
  private var planned: [Int: [[LatentRequest]]] = [:]
  private var nextStep: Int?
  private var plannedSteps = 0
  /// For each served rank the requests that no finished round has used.
  private var sequences: [[LatentRequest]]
  /// How many of the requests of `sequences` were submitted, in the order of the rounds.
  private var submitted = 0

  /// - Parameters:
  ///   - description: of the latents that come out.
  ///   - source: pictures of one size; nil on ranks that get their pixels from rank 0.
  public init(
    _ stage: FirstStage, _ source: (any ImageSource)?, _ description: LatentCacheDescription,
    _ communicator: any Communicator, _ settings: Settings
  ) {
    (self.stage, self.source, self.description) = (stage, source, description)
    (self.communicator, self.settings) = (communicator, settings)
    let decodes = communicator.rank == 0 || !settings.scatters
    precondition(decodes == (source != nil), "pictures on rank \(communicator.rank)")
    served = !decodes ? [] : settings.scatters ? Array(0..<communicator.size) : [communicator.rank]
    sequences = Array(repeating: [], count: served.count)
    pool = source.map {
      DecodingPool($0, threads: settings.decoders, withMaps: description.masks != nil)
    }
  }

  deinit { pool?.end() }

  public func rows(
    step: Int, _ requests: (Int) -> [[[LatentRequest]]]
  ) throws -> [LatentBatch] {
    if step != nextStep { try restart(at: step) }
    while planned[step] == nil { plan(requests) }
    let micros = planned.removeValue(forKey: step)!
    let count = micros.reduce(0) { $0 + $1.count }
    while ready.count < count { try encodeRound(requests) }
    // What the next rounds need is decoded while the caller computes.
    submit(through: Self.round * served.count, requests)
    nextStep = step + 1
    defer { ready.removeFirst(count) }
    var first = 0
    return micros.map { micro in
      defer { first += micro.count }
      return batch(micro, ready[first..<first + micro.count])
    }
  }

  private func restart(at step: Int) throws {
    ready = []
    planned = [:]
    sequences = sequences.map { _ in [] }
    submitted = 0
    plannedSteps = step
    // What an earlier sequence has asked for; its errors are not of this one.
    while let pool, pool.pending > 0 { _ = try? pool.take() }
  }

  private func plan(_ requests: (Int) -> [[[LatentRequest]]]) {
    let all = requests(plannedSteps)
    planned[plannedSteps] = all[communicator.rank]
    for (i, rank) in served.enumerated() { sequences[i] += all[rank].flatMap(\.self) }
    plannedSteps += 1
  }

  /// Asks for the pictures of the next `needed` places in the order of the rounds, and for as many
  /// behind them as may wait.
  private func submit(through needed: Int, _ requests: (Int) -> [[[LatentRequest]]]) {
    guard let pool else { return }
    while submitted < needed || pool.pending < settings.prefetch {
      let (block, place) = submitted.quotientAndRemainder(dividingBy: Self.round)
      let (round, rank) = block.quotientAndRemainder(dividingBy: served.count)
      let k = round * Self.round + place
      while sequences[rank].count <= k { plan(requests) }
      pool.submit(sequences[rank][k])
      submitted += 1
    }
  }

  /// Collective: the next rows of every rank.
  private func encodeRound(_ requests: (Int) -> [[[LatentRequest]]]) throws {
    submit(through: Self.round * served.count, requests)
    let decoded = try communicator.together {
      try served.indices.map { i in
        try (0..<Self.round).map { k in try take(sequences[i][k].index) }
      }
    }
    for i in sequences.indices { sequences[i].removeFirst(Self.round) }
    submitted -= Self.round * served.count
    for (rank, pictures) in zip(served, decoded) where rank != communicator.rank {
      try communicator.send(pack(pictures), to: rank, tag: Self.tag)
    }
    let own = served.firstIndex(of: communicator.rank).map { decoded[$0] }
    let pictures = try own ?? unpack(communicator.receive(from: 0, tag: Self.tag))
    let full = encoded(pictures.map(\.image))
    let low = description.lowResolution.map { low in
      encoded(pictures.map { $0.image.lowResolution(low.size) })
    }
    for (k, picture) in pictures.enumerated() {
      var row = Row(mean: full[k].mean, logvar: full[k].logvar, label: picture.label)
      (row.lowMean, row.lowLogvar) = (low?[k].mean, low?[k].logvar)
      row.classMap = picture.classMap
      ready.append(row)
    }
  }

  /// The next picture, which is that of `index`.
  private func take(_ index: Int) throws -> Picture {
    let decoded = try pool!.take()
    var picture = Picture(image: decoded.image, label: source!.label(index))
    guard let plane = description.masks else { return picture }
    guard let map = decoded.map, map.width == plane.width, map.height == plane.height else {
      throw UserError(
        .badData, source!.place(index),
        found: decoded.map.map { "a label map of \($0.width)×\($0.height)" } ?? "no label map",
        expected: "one of \(plane.width)×\(plane.height) for every picture",
        advice: "give data.size to crop and scale pictures and maps to one size")
    }
    picture.classMap = map.labels
    return picture
  }

  private func encoded(
    _ images: [ImageBuffer]
  ) -> [(mean: ArraySlice<Float>, logvar: ArraySlice<Float>?)] {
    let (mean, logvar) = stage.encode(images)
    let (means, logvars) = (mean.values, logvar?.values)
    let n = mean.count / mean.shape[0]
    return images.indices.map { k in
      let range = k * n..<(k + 1) * n
      return (means[range], logvars?[range])
    }
  }

  private func batch(_ micro: [LatentRequest], _ rows: ArraySlice<Row>) -> LatentBatch {
    LatentBatch(
      indices: micro.map(\.index), mean: rows.flatMap(\.mean),
      logvar: description.hasLogvar ? rows.flatMap { $0.logvar! } : nil,
      labels: description.hasLabels ? rows.map { $0.label! } : nil,
      lowMean: description.lowResolution == nil ? nil : rows.flatMap { $0.lowMean! },
      lowLogvar: description.lowResolution == nil || !description.hasLogvar
        ? nil : rows.flatMap { $0.lowLogvar! },
      classMap: description.masks == nil ? nil : rows.flatMap { $0.classMap! })
  }

  /// Labels (−1: none), then the pixels of each, and the classes of its pixels.
  private func pack(_ pictures: [Picture]) -> [UInt8] {
    var bytes = pictures.map { $0.label ?? -1 }.withUnsafeBytes { Array($0) }
    for picture in pictures { bytes += picture.image.pixels + (picture.classMap ?? []) }
    return bytes
  }

  private func unpack(_ bytes: [UInt8]) -> [Picture] {
    let width = description.latentShape[1] * stage.downsamplingFactor
    let height = description.latentShape[0] * stage.downsamplingFactor
    let pixels = height * width * 3
    let size = pixels + (description.masks?.count ?? 0)
    let head = Self.round * MemoryLayout<Int>.size
    precondition(
      bytes.count == head + Self.round * size,
      "\(bytes.count) bytes for \(Self.round) pictures of \(width)×\(height)")
    let labels = bytes.withUnsafeBytes { raw in
      (0..<Self.round).map { raw.loadUnaligned(fromByteOffset: 8 * $0, as: Int.self) }
    }
    return labels.enumerated().map { k, label in
      let start = head + k * size
      let image = Array(bytes[start..<start + pixels])
      return Picture(
        image: ImageBuffer(width: width, height: height, pixels: image),
        label: label < 0 ? nil : label,
        classMap: description.masks == nil ? nil : Array(bytes[start + pixels..<start + size]))
    }
  }
}
