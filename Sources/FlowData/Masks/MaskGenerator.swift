import Diagnostics
import FlowTensor

/// What kind of holes are drawn into pictures: a hole is a function of (seed, step, index), of the
/// picture's size and, for some kinds, of its label map.
public indirect enum MaskGenerator: Equatable, Sendable {
  case strokes(StrokeMasks)
  case boxes(BoxMasks)
  case areaBox(AreaBoxMasks)
  case outpainting(OutpaintingMasks)
  case superResolution(SuperResolutionMasks)
  case segments(SegmentMasks)
  case partialShape(PartialShapeMasks)
  /// Kinds with their weights, and the probability that hole and picture are exchanged.
  case mixed([Part], inversion: Float)
  /// Another kind, drawn again until the hole's area is within these bounds.
  case bounded(MaskGenerator, areas: ClosedRange<Double>)

  public struct Part: Equatable, Sendable {
    public var generator: MaskGenerator
    public var weight: Float

    public init(_ generator: MaskGenerator, weight: Float) {
      (self.generator, self.weight) = (generator, weight)
    }
  }

  /// Lengths of strokes and boxes are those of pictures with this side.
  static let referenceSide: Float = 256

  /// Draws of a hole whose area is not as asked for, or that is none at all.
  private static let tries = 100

  /// Whether `mask` needs the picture's label map.
  public var needsMap: Bool {
    switch self {
    case .segments, .partialShape: true
    case .mixed(let parts, _): parts.contains { $0.generator.needsMap }
    case .bounded(let generator, _): generator.needsMap
    case .strokes, .boxes, .areaBox, .outpainting, .superResolution: false
    }
  }

  /// A mask with a hole. Draws without one (LaMa's times may be 0) are drawn again, which LFM does
  /// not do.
  ///
  /// - Parameters:
  ///   - map: of the same size; of kinds that need one.
  ///   - step: of the training, 0 for stored masks.
  ///   - place: the picture, for messages.
  /// - Throws: `.badData` where the map lacks what is to be hidden.
  public func mask(
    _ size: ImageSize, map: LabelMap? = nil, seed: UInt64, step: Int = 0, index: Int,
    place: String
  ) throws -> HoleMask {
    if let map {
      precondition(
        map.width == size.width && map.height == size.height,
        "a map of \(map.width)×\(map.height) for a picture of \(size)")
    }
    var draws = MaskDraws(Philox(seed: seed, stream: .mask, step: step, index: index))
    var areas = Double.leastNonzeroMagnitude...1
    if case .bounded(_, let bounds) = self { areas = bounds }
    var nearest: (mask: HoleMask, miss: Double)?
    for _ in 0..<Self.tries {
      let mask = try draw(size, map, &draws, place)
      let area = mask.area
      if areas.contains(area) { return mask }
      let miss = max(areas.lowerBound - area, area - areas.upperBound)
      if area > 0, miss < nearest?.miss ?? .infinity { nearest = (mask, miss) }
    }
    guard let nearest else {
      throw UserError(
        .badData, place, found: "no hole in \(Self.tries) draws of \(size) pixels",
        expected: "a kind of mask whose holes fit into the picture")
    }
    return nearest.mask
  }

  private func draw(
    _ size: ImageSize, _ map: LabelMap?, _ draws: inout MaskDraws, _ place: String
  ) throws -> HoleMask {
    switch self {
    case .strokes(let kind): return kind.mask(size, &draws)
    case .boxes(let kind): return kind.mask(size, &draws)
    case .areaBox(let kind): return kind.mask(size, &draws)
    case .outpainting(let kind): return kind.mask(size, &draws)
    case .superResolution(let kind): return kind.mask(size, &draws)
    case .segments(let kind): return try kind.mask(try needed(map, place), &draws, place: place)
    case .partialShape(let kind): return try kind.mask(try needed(map, place), &draws, place: place)
    case .bounded(let generator, _): return try generator.draw(size, map, &draws, place)
    case .mixed(let parts, let inversion):
      let part = parts[draws.choice(parts.map(\.weight))]
      let mask = try part.generator.draw(size, map, &draws, place)
      return inversion > 0 && draws.uniform() < inversion ? mask.inverted() : mask
    }
  }

  private func needed(_ map: LabelMap?, _ place: String) throws -> LabelMap {
    guard let map else {
      throw UserError(
        .badData, place, found: "no label map", expected: "one: this kind of mask hides by label",
        advice: "use celebamask, ade20k, coco-stuff or shapes, or another kind of mask")
    }
    return map
  }
}
