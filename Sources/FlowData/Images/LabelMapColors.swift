extension LabelMap {
  /// The classes in colours; what has none is grey.
  public func painted(_ palette: [SIMD3<UInt8>]) -> ImageBuffer {
    var image = ImageBuffer(width: width, height: height, gray: 128)
    for (i, label) in labels.enumerated() where Int(label) < palette.count {
      let color = palette[Int(label)]
      (image.pixels[3 * i], image.pixels[3 * i + 1], image.pixels[3 * i + 2]) =
        (color.x, color.y, color.z)
    }
    return image
  }

  /// Black for class 0, and for the others colours that lie far apart: hues by the golden ratio,
  /// brightness in turn.
  public static func palette(classes: Int) -> [SIMD3<UInt8>] {
    let thirds: SIMD3<Float> = [0, 2 / 3, 1 / 3]
    return (0..<classes).map { index in
      guard index > 0 else { return SIMD3(0, 0, 0) }
      let turns = Float(index) * 0.618_034
      let hue = turns - turns.rounded(.down) + thirds
      // A ramp up and down around the circle of hues, for red, green and blue.
      let wave = 6 * (hue - hue.rounded(.down)) - 3
      let ramp = wave.replacing(with: -wave, where: wave .< 0) - 1
      let share = ramp.clamped(
        lowerBound: SIMD3(repeating: 0), upperBound: SIMD3(repeating: 1))
      let brightness: Float = [255, 205, 160][index % 3]
      return SIMD3<UInt8>(brightness * (0.2 + 0.8 * share), rounding: .toNearestOrEven)
    }
  }
}
