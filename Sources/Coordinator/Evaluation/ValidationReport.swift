import FlowData
import FlowMetrics
import FlowTensor
import Foundation
import Worker

/// How close a model for up-sampling comes to held-out pictures, beside bicubic resampling.
struct ValidationReport: Codable {
  struct Errors: Codable {
    /// Of levels in [0, 1], means over the pictures.
    var meanSquaredError: Double
    /// dB, mean over the pictures.
    var peakSignalToNoise: Double
    var structuralSimilarity: Double
    /// Mean square of the Laplacian of all pictures, divided by that of the real ones.
    var sharpness: Double

    init(_ all: [PictureErrors], real: Double) {
      let mean = PictureErrors.mean(all)
      meanSquaredError = mean.meanSquaredError
      peakSignalToNoise = mean.peakSignalToNoise
      structuralSimilarity = mean.structuralSimilarity
      sharpness = mean.highFrequencies / real
    }
  }

  var count: Int
  var size: String
  var lowSize: Int
  var model: Errors
  var bicubic: Errors
  /// Fréchet distance of crops, by name.
  var patchDistance: [String: Double]
  var evaluationsMean: Double
  var solver: String

  init(
    _ found: [ValidatedPicture], _ pairs: SmallImages, solver: String,
    extractor: FeatureExtractor?
  ) throws {
    let n = Double(found.count)
    let real = found.reduce(0.0) { $0 + $1.realHighFrequencies } / n
    count = found.count
    size = try pairs.source.size(0).description
    lowSize = pairs.lowSize
    model = Errors(found.map(\.model), real: real)
    bicubic = Errors(found.map(\.bicubic), real: real)
    evaluationsMean = Double(found.reduce(0) { $0 + $1.evaluations }) / n
    self.solver = solver
    patchDistance = [:]
    if let extractor {
      func features(_ rows: [Float]) -> Tensor {
        Tensor([rows.count / extractor.dimension, extractor.dimension], rows)
      }
      patchDistance["patch-\(extractor.distanceName)"] = frechetDistance(
        momentsOf(features(found.flatMap(\.features.model))),
        momentsOf(features(found.flatMap(\.features.real))))
    }
  }

  var json: String { reportJSON(self) }

  /// One line.
  var summary: String {
    String(
      format: "PSNR %.2f dB (bicubic %.2f), SSIM %.4f (%.4f), sharpness %.3f (%.3f)",
      model.peakSignalToNoise, bicubic.peakSignalToNoise, model.structuralSimilarity,
      bicubic.structuralSimilarity, model.sharpness, bicubic.sharpness)
      + patchDistance.map { String(format: ", \($0.key) %.4g", $0.value) }.joined()
  }

  var text: String {
    var table = TextTable(rightAligned: [1, 2, 3, 4])
    table.append("", "PSNR, dB", "SSIM", "MSE", "sharpness")
    for (name, e) in [("model", model), ("bicubic", bicubic)] {
      table.append(
        name, String(format: "%.2f", e.peakSignalToNoise),
        String(format: "%.4f", e.structuralSimilarity), String(format: "%.3g", e.meanSquaredError),
        String(format: "%.3f", e.sharpness))
    }
    let distances = patchDistance.map { "\($0.key): \(String(format: "%.4g", $0.value))\n" }
    return "\(count) pictures of \(size) from \(lowSize) pixels; \(solver), "
      + String(format: "%.1f evaluations each\n", evaluationsMean)
      + table.text() + distances.joined()
  }
}

extension ImageGrid {
  /// Rows of real | small, enlarged by nearest pixels | the model's.
  static func comparison(_ found: [ValidatedPicture]) -> ImageBuffer? {
    let shown = found.compactMap(\.shown)
    guard !shown.isEmpty else { return nil }
    return ImageGrid(columns: shown.count >= 6 ? 6 : 3).compose(
      shown.flatMap { pictures in
        [
          pictures.real,
          pictures.small.resized(
            width: pictures.real.width, height: pictures.real.height, .box), pictures.model,
        ]
      })
  }
}
