import FlowData
import Foundation
import Testing

private let fixtures = "\(Workshop.repository)/Tests/Fixtures/files"

/// `upscale` with the model of 16 to 32 into a folder of the test.
private func upscale(_ scratch: Scratch, _ words: String...) throws -> [String] {
  ["upscale", try UpscalingModels.shared.twice, "--out", "\(scratch.path)/out"] + words
}

/// `upscale` with a cascade of this text.
private func cascade(_ scratch: Scratch, _ text: String) throws -> [String] {
  let models = try UpscalingModels.shared
  let file = "\(scratch.path)/cascade.yaml"
  try text.replacing("TWICE", with: models.twice)
    .write(toFile: file, atomically: true, encoding: .utf8)
  return ["upscale", file, "\(models.pictures)/0.png", "--out", "\(scratch.path)/out"]
}

/// A .npy file of so many zeros, or of something else.
private func array(_ scratch: Scratch, _ dims: [Int], value: Float = 0) throws -> String {
  let file = "\(scratch.path)/latents.npz"
  let values = [Float](repeating: value, count: dims.reduce(1, *))
  try NumPyWriter.write([.init("latents", dims, floats: values)], toArchive: file)
  return file
}

extension BadInput {
  static let upscaling =
    upscalingPictures + upscalingModels + cascades + upscalingLatents

  private static let upscalingPictures = [
    BadInput("a picture to enlarge that is cut short", 65, ["bad_png_truncated.png", "byte"]) {
      try upscale(
        $0, "\(UpscalingModels.shared.pictures)/0.png", "\(fixtures)/bad_png_truncated.png")
    },
    BadInput("a text to enlarge", 65, ["{}/a.txt, byte 0", "neither PNG, JPEG nor WebP"]) {
      let file = "\($0.path)/a.txt"
      try "no picture".write(toFile: file, atomically: true, encoding: .utf8)
      return try upscale($0, file)
    },
    BadInput("an empty picture to enlarge", 65, ["{}/a.png", "0 bytes"]) {
      try Data().write(to: URL(fileURLWithPath: "\($0.path)/a.png"))
      return try upscale($0, "\($0.path)/a.png")
    },
    BadInput("no picture to enlarge", 66, ["{}/none.png: no such file or folder"]) {
      try upscale($0, "\($0.path)/none.png")
    },
    BadInput("nothing to enlarge", 64, ["give either pictures or --latents"]) {
      try upscale($0)
    },
    BadInput("two pictures of one name", 64, ["{}/0.png: the name that", "/pictures/0.png has"]) {
      let picture = "\(try UpscalingModels.shared.pictures)/0.png"
      return try upscale($0, picture, $0.copy(picture))
    },
    BadInput("a picture that cannot become so large", 64, ["/0.png: 16×16", "32×32", "--to"]) {
      try upscale($0, UpscalingModels.shared.pictures, "--to", "64")
    },
    BadInput("a picture that is as large already", 64, ["/0.png: 16×16", "less than --to 16"]) {
      try upscale($0, UpscalingModels.shared.pictures, "--to", "16")
    },
    BadInput("a folder that holds results", 64, ["--out names a folder that holds"]) { _ in
      let models = try UpscalingModels.shared
      return ["upscale", models.twice, models.pictures, "--out", models.pictures]
    },
    BadInput("a size that a transformer has not learnt", 65, ["/0.png: 12×16", "16×16"]) {
      let models = try UpscalingModels.shared
      let run = "\($0.path)/dit"
      try latentflow(
        models.training(
          run, ["coupling.context=null"],
          network: "{ kind: dit, width: 32, depth: 1, heads: 2, patch: 4, classes: 0 }")
      ).requireSuccess()
      let file = "\($0.path)/0.png"
      try ImageBuffer(width: 12, height: 16, gray: 90).writePNG(to: file)
      return ["upscale", run, file, "--out", "\($0.path)/out"]
    },
  ]

  private static let upscalingModels = [
    BadInput("a model of samples", 78, ["samples from noise", "use `latentflow sample`"]) {
      [
        "upscale", try Trained.run, try UpscalingModels.shared.pictures, "--out",
        "\($0.path)/out",
      ]
    },
    BadInput("samples of a model for up-sampling", 78, ["use `latentflow upscale`"]) {
      ["sample", try UpscalingModels.shared.twice, "--count", "1", "--out", "\($0.path)/out"]
    },
    BadInput("a tolerance of euler", 64, ["--rtol", "euler has fixed steps"]) {
      try upscale($0, UpscalingModels.shared.pictures, "--rtol", "1e-3")
    },
    BadInput("times that go back", 64, ["--times", "times from 0.0 up to 1.0"]) {
      try upscale($0, UpscalingModels.shared.pictures, "--times", "1,0")
    },
  ]

  private static let cascades = [
    BadInput("a cascade without stages", 78, ["stages", "no stages"]) {
      try cascade($0, "stages: []")
    },
    BadInput("a file that is no cascade", 78, ["{}/cascade.yaml: neither stages nor"]) {
      try cascade($0, "seed: 1")
    },
    BadInput(
      "an unknown field of a stage", 78,
      ["cascade.yaml:1:22", "unknown key stages.0.step", "did you mean stages.0.steps?"]
    ) { try cascade($0, "stages: [{ model: a, step: 3 }]") },
    BadInput("a stage whose model is not there", 66, ["{}/none: no such file or folder"]) {
      try cascade($0, "stages: [{ model: TWICE }, { model: none }]")
    },
    BadInput(
      "stages that do not meet", 78, ["stages.1.from", "64, and the stage before ends at 32"]
    ) { try cascade($0, "stages: [{ model: TWICE }, { model: TWICE, from: 64, to: 128 }]") },
    BadInput("a stage of another factor", 78, ["stages.0.to", "16 to 64", "2 times as much"]) {
      try cascade($0, "stages: [{ model: TWICE, from: 16, to: 64 }]")
    },
    BadInput("a noising step beyond the last", 78, ["stages.0.noising_step", "below 1000"]) {
      try cascade($0, "stages: [{ model: TWICE, noising_step: 1000 }]")
    },
    BadInput("a side where no stage begins", 64, ["--from: 64", "16, 32"]) {
      try cascade($0, "stages: [{ model: TWICE }, { model: TWICE }]") + ["--from", "64"]
    },
    BadInput("steps of an adaptive solver in a cascade", 78, ["stages.0.steps", "dopri5"]) {
      try cascade($0, "stages: [{ model: TWICE, solver: dopri5, steps: 4 }]")
    },
  ]

  private static let upscalingLatents = [
    BadInput("no latents", 66, ["{}/none.npy: No such file"]) {
      try upscale($0, "--latents", "\($0.path)/none.npy")
    },
    BadInput("latents of other channels", 65, ["{}/latents.npz", "[4, 8, 8]", "[3, H, W]"]) {
      try upscale($0, "--latents", array($0, [2, 4, 8, 8]))
    },
    BadInput("latents that are no numbers", 65, ["{}/latents.npz, latent 0", "no number"]) {
      try upscale($0, "--latents", array($0, [2, 3, 8, 8], value: .nan))
    },
    BadInput("latents under another name", 65, ["{}/latents.npz", "latents", "one of z0"]) {
      try upscale($0, "--latents", array($0, [2, 3, 8, 8]), "--latents-key", "z0")
    },
  ]
}
