import FlowData
import FlowTensor
import Foundation
import TestSupport
import Testing
import Worker

private let root = URL(fileURLWithPath: #filePath)
  .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
private let models = root + "/models/shapes-autoencoder"

@Suite("The autoencoder that ships with the project", .serialized)
struct ShapesAutoencoderTests {
  @Test("the judge sees the class of at least 98 % of 512 reconstructions")
  func judgedReconstructions() throws {
    let stage = try FirstStage.autoencoder(models)
    let heldOut = ShapesDataset(size: 64, seed: 77)
    let judge = ShapesJudge()
    var right = 0
    for first in stride(from: 0, to: 512, by: 32) {
      let range = first..<first + 32
      let latents = stage.encode(tensor(of: range.map { heldOut.image($0) })).mean
      for (i, image) in zip(range, images(of: stage.decode(latents))) {
        right += judge.judge(image).label == heldOut.label(i) ? 1 : 0
      }
    }
    #expect(right >= 502, "\(right) of 512")
  }

  @Test("the first 50 steps of its recipe give the losses that were recorded")
  func recipe() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("recipe-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let program = productPath("latentflow")
    let drawn = try runProcess(
      program, ["dataset", "shapes", "--out", folder + "/shapes", "--count", "8192"], timeout: 120)
    #expect(drawn.status == 0, "\(drawn.stderr)")
    let trained = try runProcess(
      program,
      [
        "train-autoencoder", models + "/recipe.yaml", "data.images=" + folder + "/shapes",
        "--run", folder + "/run", "--stop-at", "50", "--threads", "1",
      ], timeout: 600)
    #expect(trained.status == 75, "\(trained.stderr)")

    let recorded = try losses(models + "/recipe-metrics.csv")
    let found = try losses(folder + "/run/metrics.csv")
    #expect(recorded.count == 50 && found.count == 50)
    // Equal bits on an equal CPU with equal threads; elsewhere round-off grows over the steps.
    for (step, pair) in zip(recorded, found).enumerated() {
      #expect(
        abs(pair.0 - pair.1) < 1e-4 * Double(step + 2) * pair.0,
        "step \(step + 1): recorded \(pair.0), found \(pair.1)")
    }
  }

  private func losses(_ path: String) throws -> [Double] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").dropFirst()
      .compactMap { Double($0.split(separator: ",")[1]) }
  }
}
