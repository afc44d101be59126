/// Groups images by the share of the picture that their mask covers: inpainting is judged per area.
public struct MaskAreas: Equatable, Sendable {
  /// Rising bounds; bin i holds lower ≤ area < upper, the last one its upper bound, too.
  public let bounds: [Double]

  /// - Parameter bounds: at least two, rising; ten bins of a tenth unless given.
  public init(bounds: [Double] = (0...10).map { Double($0) / 10 }) {
    precondition(
      bounds.count >= 2 && zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 },
      "bounds of mask areas \(bounds)")
    self.bounds = bounds
  }

  /// nil for an area outside the bounds.
  public func bin(of area: Double) -> Int? {
    guard area >= bounds[0], area <= bounds[bounds.count - 1] else { return nil }
    return min(bounds.count - 2, bounds.lastIndex { $0 <= area }!)
  }

  /// The indices of the areas in each bin, in their order.
  public func indices(of areas: [Double]) -> [[Int]] {
    var bins = [[Int]](repeating: [], count: bounds.count - 1)
    for (index, area) in areas.enumerated() {
      if let bin = bin(of: area) { bins[bin].append(index) }
    }
    return bins
  }

  /// Number and mean of the values in each bin; no mean where there is none.
  public func means(of values: [Double], areas: [Double]) -> [(count: Int, mean: Double?)] {
    precondition(values.count == areas.count, "\(values.count) values for \(areas.count) areas")
    return indices(of: areas).map { bin in
      let sum = bin.reduce(0.0) { $0 + values[$1] }
      return (bin.count, bin.isEmpty ? nil : sum / Double(bin.count))
    }
  }
}

/// The share of a mask that is not 0.
public func maskArea(_ mask: [UInt8]) -> Double {
  precondition(!mask.isEmpty, "the area of an empty mask")
  return Double(mask.count { $0 != 0 }) / Double(mask.count)
}
