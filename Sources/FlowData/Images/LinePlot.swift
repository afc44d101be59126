import Foundation

/// A plot of curves on logarithmic axes, drawn without any library: distance against evaluations.
public struct LinePlot: Sendable {
  public struct Curve: Sendable {
    public let name: String
    /// Points with both coordinates above 0, in the order in which they are joined.
    public let points: [(x: Double, y: Double)]

    public init(_ name: String, _ points: [(x: Double, y: Double)]) {
      (self.name, self.points) = (name, points)
    }
  }

  public let title: String
  public let xLabel: String
  public let yLabel: String
  public let curves: [Curve]

  public init(title: String, xLabel: String, yLabel: String, curves: [Curve]) {
    (self.title, self.xLabel, self.yLabel) = (title, xLabel, yLabel)
    self.curves = curves.map { curve in
      Curve(
        curve.name,
        curve.points.filter { $0.x > 0 && $0.y > 0 && $0.x.isFinite && $0.y.isFinite })
    }
  }

  /// Colour-blind safe (Okabe & Ito 2008); then the same again with hollow squares.
  private static let colors: [SIMD3<UInt8>] = [
    SIMD3(0, 114, 178), SIMD3(213, 94, 0), SIMD3(0, 158, 115), SIMD3(204, 121, 167),
    SIMD3(230, 159, 0), SIMD3(86, 180, 233), SIMD3(0, 0, 0),
  ]

  private static let left = 110
  private static let top = 76
  private static let bottom = 70

  /// - Parameters:
  ///   - width: of the whole picture; the names of the curves take a strip at the right
  public func draw(width: Int = 960, height: Int = 600) -> ImageBuffer {
    var image = ImageBuffer(width: width, height: height, gray: 255)
    let longest = curves.map(\.name.count).max() ?? 0
    let legend = width - 30 - longest * 12 - 30
    let frame = Frame(
      x: Axis(curves.flatMap { $0.points.map(\.x) }, from: LinePlot.left, to: legend - 20),
      y: Axis(
        curves.flatMap { $0.points.map(\.y) }, from: height - LinePlot.bottom, to: LinePlot.top))
    image.write(title, x: LinePlot.left, y: 14)
    image.write(xLabel, x: (LinePlot.left + legend) / 2 - xLabel.count * 6, y: height - 24)
    image.write(yLabel, x: 10, y: LinePlot.top - 28)
    frame.draw(into: &image)
    for (i, curve) in curves.enumerated() {
      let color = LinePlot.colors[i % LinePlot.colors.count]
      let places = curve.points.map { (frame.x.pixel($0.x), frame.y.pixel($0.y)) }
      for (a, b) in zip(places, places.dropFirst()) { image.line(from: a, to: b, color: color) }
      let isHollow = i / LinePlot.colors.count % 2 == 1
      for (x, y) in places { image.square(x: x, y: y, color: color, isHollow: isHollow) }
      let y = LinePlot.top + i * 22
      image.fill(x: legend, y: y + 6, width: 22, height: 3, color: color)
      image.square(x: legend + 11, y: y + 7, color: color, isHollow: isHollow)
      image.write(curve.name, x: legend + 30, y: y)
    }
    return image
  }
}

/// A logarithmic axis between two pixels.
private struct Axis {
  let first: Int
  let last: Int
  /// Logarithms to base 10 at the ends.
  let low: Double
  let high: Double

  init(_ values: [Double], from first: Int, to last: Int) {
    (self.first, self.last) = (first, last)
    let logs = values.map(log10)
    let (smallest, largest) = (logs.min() ?? 0, logs.max() ?? 1)
    let margin = max(0.05, 0.06 * (largest - smallest))
    (low, high) = (smallest - margin, largest + margin)
  }

  func pixel(_ value: Double) -> Int {
    first + Int((Double(last - first) * (log10(value) - low) / (high - low)).rounded())
  }

  /// Round numbers: powers of ten where there are many, 1, 2 and 5 times these where there are
  /// few, and steps of one length where the axis spans less than a factor of five.
  var ticks: [Double] {
    guard high - low >= log10(5) else { return evenTicks }
    let steps: [Double] = high - low < 2.5 ? [1, 2, 5] : [1]
    let powers = Int(low.rounded(.down))...Int(high.rounded(.up))
    let all = powers.flatMap { power in steps.map { $0 * pow(10, Double(power)) } }
    return all.filter { (low...high).contains(log10($0)) }
  }

  /// Multiples of 1, 2 or 5 times a power of ten, three to eight of them.
  private var evenTicks: [Double] {
    let (first, last) = (pow(10, low), pow(10, high))
    let power = pow(10, log10((last - first) / 8).rounded(.down))
    let step = power * ([1, 2, 5].first { $0 * power * 8 >= last - first } ?? 10)
    let multiples = Int((first / step).rounded(.up))...Int((last / step).rounded(.down))
    return multiples.map { Double($0) * step }
  }
}

/// The axes with their numbers and a grid.
private struct Frame {
  let x: Axis
  let y: Axis

  func draw(into image: inout ImageBuffer) {
    let grey = SIMD3<UInt8>(225, 225, 225)
    let black = SIMD3<UInt8>(0, 0, 0)
    let (width, height) = (x.last - x.first, y.first - y.last)
    for tick in x.ticks {
      let place = x.pixel(tick)
      image.fill(x: place, y: y.last, width: 1, height: height, color: grey)
      let text = String(format: "%g", tick)
      image.write(text, x: place - text.count * 6 + 1, y: y.first + 10)
    }
    for tick in y.ticks {
      let place = y.pixel(tick)
      image.fill(x: x.first, y: place, width: width, height: 1, color: grey)
      let text = String(format: "%g", tick)
      image.write(text, x: x.first - 10 - text.count * 12, y: place - 7)
    }
    image.fill(x: x.first, y: y.first, width: width + 1, height: 2, color: black)
    image.fill(x: x.first, y: y.last, width: 2, height: height, color: black)
  }
}

extension ImageBuffer {
  /// 7×7 pixels around a point; a hollow one is 11×11 and leaves what it lies around.
  fileprivate mutating func square(x: Int, y: Int, color: SIMD3<UInt8>, isHollow: Bool) {
    guard isHollow else { return fill(x: x - 3, y: y - 3, width: 7, height: 7, color: color) }
    for offset in [-5, 4] {
      fill(x: x - 5, y: y + offset, width: 11, height: 2, color: color)
      fill(x: x + offset, y: y - 5, width: 2, height: 11, color: color)
    }
  }

  /// A straight line, three pixels thick.
  fileprivate mutating func line(
    from a: (Int, Int), to b: (Int, Int), color: SIMD3<UInt8>
  ) {
    let steps = max(1, abs(b.0 - a.0), abs(b.1 - a.1))
    for i in 0...steps {
      let x = a.0 + Int((Double((b.0 - a.0) * i) / Double(steps)).rounded())
      let y = a.1 + Int((Double((b.1 - a.1) * i) / Double(steps)).rounded())
      fill(x: x - 1, y: y - 1, width: 3, height: 3, color: color)
    }
  }
}
