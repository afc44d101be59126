import FlowData
import Foundation

extension BadInput {
  /// `synthesize` after three maps of 64×64, of which the second is spoilt.
  private static func synthesize(
    _ scratch: Scratch, _ spoil: (_ file: String) throws -> Void
  ) throws -> [String] {
    let set = "\(scratch.path)/set"
    try writeShapes(to: set, count: 3, size: 64, seed: 1)
    try spoil("\(set)/masks/000001.png")
    return ["synthesize", try EndToEnd.Semantic.run, "--maps", set, "--out", "\(scratch.path)/out"]
  }

  private static func train(_ scratch: Scratch, _ more: String...) throws -> [String] {
    try Workshop.shared.train("\(scratch.path)/run") + more
  }

  static let labelMaps = [
    BadInput(
      "a label map of an unknown label", 65, ["{}/set/masks/000001.png: label 17", "0 to 16"]
    ) {
      try synthesize($0) {
        try LabelMap(width: 64, height: 64, labels: [UInt8](repeating: 17, count: 4096))
          .writePNG(to: $0)
      }
    },
    BadInput(
      "a label map of another size", 65,
      ["{}/set/masks/000001.png: a map of 32×64", "64×64 like images/000001.png"]
    ) {
      try synthesize($0) {
        try LabelMap(width: 32, height: 64, labels: [UInt8](repeating: 1, count: 2048))
          .writePNG(to: $0)
      }
    },
    BadInput(
      "a label map that is missing", 66,
      ["{}/set/masks/000001.png: no such file", "the label map of images/000001.png"]
    ) { try synthesize($0) { try FileManager.default.removeItem(atPath: $0) } },
    BadInput(
      "a label map in colours", 65, ["{}/set/masks/000001.png"]
    ) {
      try synthesize($0) {
        try ImageBuffer(width: 64, height: 64, gray: 3).writePNG(to: $0)
      }
    },
    BadInput(
      "maps alone of another size", 65,
      ["{}/maps/000000.png: a label map of 32×32", "64×64", "--size 64"]
    ) {
      try writeShapes(to: "\($0.path)/set", count: 1, size: 32, seed: 1)
      try FileManager.default.moveItem(atPath: "\($0.path)/set/masks", toPath: "\($0.path)/maps")
      return [
        "synthesize", try EndToEnd.Semantic.run, "--maps", "\($0.path)/maps", "--out",
        "\($0.path)/out",
      ]
    },
    BadInput(
      "more maps than there are", 65, ["shapes:64: 4 label maps", "at least 5"]
    ) {
      [
        "synthesize", try EndToEnd.Semantic.run, "--maps", "shapes:4@64", "--count", "5", "--out",
        "\($0.path)/out",
      ]
    },
    BadInput(
      "drawing after maps with a model of labels", 78,
      ["a model for samples from noise", "drawing after label maps", "latentflow sample"]
    ) {
      [
        "synthesize", try Trained.run, "--maps", "shapes:4@64", "--out", "\($0.path)/out",
      ]
    },
    BadInput(
      "samples of a model of maps", 78, ["drawing after label maps", "latentflow synthesize"]
    ) { ["sample", try EndToEnd.Semantic.run, "--out", "\($0.path)/out"] },
    BadInput(
      "maps without channels for them", 78, ["model.context_channels", "as 4"]
    ) { try train($0, "semantic.classes=17") },
    BadInput(
      "a cache without maps", 78, ["semantic", "holds none", "encode … --masks"]
    ) { try train($0, "semantic.classes=17", "model.context_channels=4") },
    BadInput(
      "maps of more classes than the network has", 78, ["semantic.classes", "16", "17"]
    ) {
      try train(
        $0, "semantic.classes=16", "model.context_channels=4",
        "data.cache=\(try EndToEnd.Semantic.cache)", "first_stage.kind=autoencoder",
        "first_stage.path=\(Workshop.autoencoder)")
    },
    BadInput(
      "maps that are not halved to the latents", 78, ["semantic.stages", "16×16", "64×64"]
    ) {
      try train(
        $0, "semantic.classes=17", "semantic.stages=1", "model.context_channels=4",
        "data.cache=\(try EndToEnd.Semantic.cache)", "first_stage.kind=autoencoder",
        "first_stage.path=\(Workshop.autoencoder)")
    },
  ]
}
