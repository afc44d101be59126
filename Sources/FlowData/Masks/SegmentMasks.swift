import Diagnostics

/// Holes from a label map: what stands in the picture is hidden, or its outline elsewhere.
public struct SegmentMasks: Equatable, Sendable {
  public enum Subject: Equatable, Sendable {
    /// One connected region of one label.
    case object
    /// All pixels of one label; nil: of one that is drawn.
    case label(UInt8?)
    /// The outline of an object, mirrored or not, at 0.75 to 1.25 of its size, moved to where it
    /// covers at most half of what it came from: LaMa's segmentation masks, whose regions came from
    /// a detector.
    case silhouette
  }

  public var subject: Subject
  /// The share of the picture that a region covers; the nearest where none is in it.
  public var areas: ClosedRange<Double>
  /// Pixels by which the hole is larger than the region: its smoothed edge would tell of it.
  public var growth: Int

  /// Areas of LaMa's objects.
  public static let standardAreas = 0.02...0.3

  public init(
    _ subject: Subject, areas: ClosedRange<Double> = Self.standardAreas, growth: Int = 2
  ) {
    (self.subject, self.areas, self.growth) = (subject, areas, growth)
  }

  /// Throws `.badData` naming `place` where the map holds nothing that could be hidden.
  func mask(_ map: LabelMap, _ draws: inout MaskDraws, place: String) throws -> HoleMask {
    switch subject {
    case .label(let label?):
      return try mask(pixels(of: label, map, place), map)
    case .label(nil):
      let labels = Set(map.labels).subtracting([unlabelled]).sorted()
      let regions = labels.map { label in map.labels.indices.filter { map.labels[$0] == label } }
      return mask(try chosen(regions, map, &draws, place), map)
    case .object:
      return mask(try chosen(map.regions(), map, &draws, place), map)
    case .silhouette:
      return silhouette(try chosen(map.regions(), map, &draws, place), map, &draws)
    }
  }

  private func pixels(of label: UInt8, _ map: LabelMap, _ place: String) throws -> [Int] {
    let found = map.labels.indices.filter { map.labels[$0] == label }
    guard !found.isEmpty else {
      throw UserError(
        .badData, place, found: "no pixel of label \(label) in its map",
        expected: "one: the hole is what has this label",
        advice: "choose the pictures that have it (--subset), or let a label be drawn")
    }
    return found
  }

  /// One of the regions whose area fits, else the one that misses by least.
  private func chosen(
    _ regions: [[Int]], _ map: LabelMap, _ draws: inout MaskDraws, _ place: String
  ) throws -> [Int] {
    let shares = regions.map { Double($0.count) / Double(map.labels.count) }
    let fitting = regions.indices.filter { areas.contains(shares[$0]) }
    if !fitting.isEmpty { return regions[fitting[draws.integer(below: fitting.count)]] }
    func miss(_ i: Int) -> Double {
      max(areas.lowerBound - shares[i], shares[i] - areas.upperBound)
    }
    guard let nearest = regions.indices.min(by: { miss($0) < miss($1) }) else {
      throw UserError(
        .badData, place, found: "a label map without a labelled pixel",
        expected: "regions that can be hidden")
    }
    return regions[nearest]
  }

  private func mask(_ region: [Int], _ map: LabelMap) -> HoleMask {
    var mask = HoleMask(ImageSize(width: map.width, height: map.height))
    for pixel in region { mask.levels[pixel] = 0 }
    return mask.grown(by: growth)
  }

  private func silhouette(
    _ region: [Int], _ map: LabelMap, _ draws: inout MaskDraws
  ) -> HoleMask {
    let object = mask(region, map)
    let middle =
      region.reduce(SIMD2<Float>()) {
        $0 + SIMD2(Float($1 % map.width), Float($1 / map.width))
      } / Float(region.count)
    var best = (mask: object, overlap: Int.max)
    for _ in 0..<Self.placements {
      let scale = draws.uniform(0.75...1.25)
      let mirror: Float = draws.uniform() < 0.5 ? -1 : 1
      let target = SIMD2(
        Float(draws.integer(below: map.width)), Float(draws.integer(below: map.height)))
      var moved = HoleMask(object.size)
      for y in 0..<map.height {
        for x in 0..<map.width {
          let away = (SIMD2(Float(x), Float(y)) - target) / scale * SIMD2(mirror, 1)
          let from = middle + away
          let (column, row) = (Int(from.x.rounded()), Int(from.y.rounded()))
          guard (0..<map.width).contains(column), (0..<map.height).contains(row) else { continue }
          if object.isHole(column, row) { moved.levels[y * map.width + x] = 0 }
        }
      }
      let overlap = region.count { moved.levels[$0] == 0 }
      if overlap < best.overlap { best = (moved, overlap) }
      if 2 * overlap <= region.count { break }
    }
    return best.mask
  }

  /// Tries at a place for a silhouette; the best of them counts where none is good.
  private static let placements = 16
}

/// Pixels of this label belong to nothing.
private let unlabelled: UInt8 = 255

extension LabelMap {
  /// Connected regions (over sides) of one label each, in the order of their first pixels; what is
  /// unlabelled is in none.
  func regions() -> [[Int]] {
    var seen = [Bool](repeating: false, count: labels.count)
    var result: [[Int]] = []
    for start in labels.indices where !seen[start] && labels[start] != unlabelled {
      var region = [start]
      seen[start] = true
      var next = 0
      while next < region.count {
        let pixel = region[next]
        next += 1
        let (x, y) = (pixel % width, pixel / width)
        let neighbours = [
          x > 0 ? pixel - 1 : nil, x + 1 < width ? pixel + 1 : nil,
          y > 0 ? pixel - width : nil, y + 1 < height ? pixel + width : nil,
        ]
        for case let other? in neighbours where !seen[other] && labels[other] == labels[start] {
          seen[other] = true
          region.append(other)
        }
      }
      result.append(region)
    }
    return result
  }
}
