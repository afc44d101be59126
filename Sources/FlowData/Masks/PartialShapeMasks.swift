import Diagnostics

/// Hides a part of what a label map shows, its background being 0: a half-plane or a box that
/// covers a share of the labelled pixels in a given range, and the background that it covers.
public struct PartialShapeMasks: Equatable, Sendable {
  /// The share of the labelled pixels that is hidden.
  public var hidden: ClosedRange<Float>

  public init(hidden: ClosedRange<Float> = 0.25...0.5) { self.hidden = hidden }

  /// A box rarely hides a share of a narrow range: then a half-plane does.
  private static let boxTries = 64
  private static let tries = 96

  /// Throws `.badData` naming `place` for a map of nothing but background, or of too few pixels.
  func mask(_ map: LabelMap, _ draws: inout MaskDraws, place: String) throws -> HoleMask {
    let shape = map.labels.indices.filter { map.labels[$0] != 0 && map.labels[$0] != 255 }
    let isBox = draws.uniform() < 0.5
    for attempt in 0..<Self.tries where !shape.isEmpty {
      let mask =
        isBox && attempt < Self.boxTries
        ? box(shape, map, &draws) : halfPlane(shape, map, &draws)
      let share = Float(shape.count { mask.levels[$0] == 0 }) / Float(shape.count)
      if hidden.contains(share) { return mask }
    }
    throw UserError(
      .badData, place, found: "\(shape.count) pixels of a shape in its label map",
      expected: "enough of them to hide \(hidden.lowerBound) to \(hidden.upperBound)")
  }

  /// All pixels on one side of a line at a random angle; the line goes where the share is.
  private func halfPlane(
    _ shape: [Int], _ map: LabelMap, _ draws: inout MaskDraws
  ) -> HoleMask {
    let angle = 2 * Float.pi * draws.uniform()
    let normal = SIMD2(cosine(angle), sine(angle))
    func distance(_ pixel: Int) -> Float {
      (SIMD2(Float(pixel % map.width), Float(pixel / map.width)) * normal).sum()
    }
    let distances = shape.map(distance).sorted(by: >)
    let count = Int(draws.uniform(hidden) * Float(shape.count))
    let limit = distances[max(0, min(shape.count - 1, count - 1))]
    var mask = HoleMask(ImageSize(width: map.width, height: map.height))
    for pixel in mask.levels.indices where distance(pixel) >= limit { mask.levels[pixel] = 0 }
    return mask
  }

  /// A box with a corner inside the shape's own box: it reaches over the shape's edge, as a rule.
  private func box(_ shape: [Int], _ map: LabelMap, _ draws: inout MaskDraws) -> HoleMask {
    let columns = shape.map { $0 % map.width }
    let rows = shape.map { $0 / map.width }
    let (left, right) = (columns.min()!, columns.max()!)
    let (top, bottom) = (rows.min()!, rows.max()!)
    func side(_ extent: Int) -> Int {
      max(1, Int(draws.uniform(0.4...1) * Float(extent)))
    }
    let (width, height) = (side(right - left + 1), side(bottom - top + 1))
    let x = draws.integer(in: left - width / 2...right - width / 2)
    let y = draws.integer(in: top - height / 2...bottom - height / 2)
    var mask = HoleMask(ImageSize(width: map.width, height: map.height))
    mask.cut(x: x..<x + width, y: y..<y + height)
    return mask
  }
}
