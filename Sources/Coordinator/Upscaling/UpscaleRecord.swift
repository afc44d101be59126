import FlowData
import Foundation
import Worker

/// How pictures were enlarged: upscale.json.
struct UpscaleRecord: Codable {
  struct Stage: Codable {
    var model: String
    var modelHash: String
    var step: Int
    /// How much longer sides become, "4" or "8/3".
    var enlargement: String
    var solver: String
    var upsampling: String
    var start: String
    /// Step of the forward diffusion; nil where the source is not noised.
    var noisingStep: Int?
    var scale: Double
  }

  struct Picture: Codable {
    var name: String
    var source: String
    var width: Int
    var height: Int
    var resultWidth: Int
    var resultHeight: Int
    /// Stages that it went through.
    var stages: Int
    /// Of the velocity fields of all stages.
    var evaluations: Int
  }

  var stages: [Stage]
  var autoencoderHash: String
  var seed: UInt64
  /// Of the results' short sides; nil: as large as all stages make them.
  var to: Int?
  var latentsScaled: Bool?
  var pictures: [Picture]
  var seconds: Double
  var imagesPerSecond: Double
  var ranks: Int
  var version: String

  var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return ((try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}") + "\n"
  }

  func summary(_ options: UpscaleResultOptions) -> String {
    let places = [
      options.grid.map { "grid: \($0)" }, options.out.map { "pictures: \($0)" },
    ].compactMap(\.self)
    let chain = stages.map { "×\($0.enlargement), \($0.solver)" }.joined(separator: "; ")
    let sizes = Set(pictures.map { "\($0.resultWidth)×\($0.resultHeight)" })
    return String(
      format: "%@%@ in %.1f s, %.2f images/s; %@\n",
      pictures.count == 1 ? "1 picture" : "\(pictures.count) pictures",
      sizes.count == 1 ? " of \(sizes.first!)" : "", seconds, imagesPerSecond, chain)
      + places.map { $0 + "\n" }.joined()
  }
}

extension UpscaleRecord.Stage {
  init(_ stage: Cascade.Stage, _ plan: SamplingPlan) {
    let (described, coupling) = (stage.described, stage.coupling)
    self.init(
      model: described.file.path, modelHash: stage.hash, step: described.header.step,
      enlargement: "\(stage.enlargement)", solver: plan.solver.description,
      upsampling: coupling.mode.rawValue, start: coupling.start.rawValue,
      noisingStep: coupling.start == .noised ? coupling.noisingStep : nil,
      scale: described.header.scale)
  }
}
