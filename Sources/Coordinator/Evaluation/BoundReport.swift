import FlowMetrics
import Foundation

/// What `latentflow bound` tells.
struct BoundReport: Codable {
  struct Stretch: Codable {
    /// Way from noise to data, 0 to 1.
    var from: Double
    var to: Double
    var velocityError: Double
    var lipschitz: Double
  }

  var model: String
  var modelHash: String
  var count: Int
  var points: Int
  /// Numbers of a picture: divides squared distances into those of a single level.
  var components: Int
  var reconstruction: Double
  var decoderLipschitz: Double
  var velocityLipschitz: Double
  var velocityError: Double
  var stretches: [Stretch]
  /// Logarithms to base 10: the bounds themselves are soon beyond a Double.
  var log10Theorem: Double
  var log10Triangle: Double
  var log10OverTime: Double
  /// Squared distance of samples and real pictures, as many of each.
  var measured: Double
  /// The same of other real pictures, where there are enough.
  var measuredReal: Double?

  init(
    _ bound: WassersteinBound, measured: (samples: Double, real: Double?), count: Int,
    points: Int, _ loaded: LoadedModel
  ) {
    (model, modelHash) = (loaded.file, loaded.hash)
    (self.count, self.points) = (count, min(count, points))
    let shape = loaded.specification.latentShape
    let factor = loaded.firstStage.downsamplingFactor
    components = shape[0] * shape[1] * factor * factor * 3
    (reconstruction, decoderLipschitz) = (bound.reconstruction, bound.decoderLipschitz)
    (velocityLipschitz, velocityError) = (bound.velocityLipschitz, bound.velocityError)
    var start = 0.0
    stretches = bound.stretches.map { stretch in
      defer { start += stretch.length }
      return Stretch(
        from: start, to: start + stretch.length, velocityError: stretch.velocityError,
        lipschitz: stretch.lipschitz)
    }
    let ten = log(10.0)
    log10Theorem = bound.logTheorem / ten
    log10Triangle = bound.logTriangle / ten
    log10OverTime = bound.logTriangleOverTime / ten
    (self.measured, measuredReal) = (measured.samples, measured.real)
  }

  var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return ((try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}") + "\n"
  }

  var text: String {
    var terms = TextTable(rightAligned: [1])
    func row(_ name: String, _ value: Double, _ note: String) {
      terms.append(name, String(format: "%.4g", value), note)
    }
    row("reconstruction E‖x − g(f(x))‖²", reconstruction, "\(count) pictures")
    row("decoder, L_g", decoderLipschitz, "largest of \(points) points")
    row("velocity, L̂", velocityLipschitz, "largest of \(points) points in each stretch of t")
    row("velocity error ∫E‖v − v̂‖² dt", velocityError, "from above: that of single pairs")
    terms.append("bound of the theorem", power(log10Theorem), "sum of two squares")
    terms.append("by the triangle inequality", power(log10Triangle), "")
    terms.append("the same, L̂ over t", power(log10OverTime), "")
    row("measured, samples to real", measured, "\(count) against \(count), paired")
    if let measuredReal { row("measured, real to real", measuredReal, "what the number leaves") }
    var times = TextTable(rightAligned: [0, 1, 2])
    times.append("noise to data", "E‖v − v̂‖²", "L̂")
    for stretch in stretches {
      times.append(
        String(format: "%.3f … %.3f", stretch.from, stretch.to),
        String(format: "%.4g", stretch.velocityError), String(format: "%.4g", stretch.lipschitz))
    }
    return "squared Wasserstein-2 distances, pixels in [−1, 1], \(components) to a picture\n"
      + terms.text(indent: 2) + "over the way from noise to data\n" + times.text(indent: 2)
  }

  /// 10 to the `exponent` as a number, or as a power where it is large.
  private func power(_ exponent: Double) -> String {
    abs(exponent) < 6
      ? String(format: "%.4g", pow(10, exponent)) : String(format: "10^%.1f", exponent)
  }
}
