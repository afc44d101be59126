import Coordinator
import FlowComm
import FlowData
import FlowTensor
import Foundation
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
    Threads.use(1)
    let config = try AutoencoderRunConfig.load(file: models + "/recipe.yaml")
    // The recipe's images: `latentflow dataset shapes --out data/shapes --count 8192`.
    let shapes = ShapesDataset(size: config.data.size, seed: 0, count: 8192)
    let trainer = try config.trainer(shapes, SingleRank(), threads: 1)
    let recorded = try losses(models + "/recipe-metrics.csv")
    #expect(recorded.count == 50)
    // Equal bits on the CPU that recorded them; elsewhere round-off grows over the steps.
    for (step, expected) in recorded.enumerated() {
      let loss = try trainer.step().loss
      #expect(
        abs(loss - expected) < 1e-4 * Double(step + 2) * expected,
        "step \(step + 1): recorded \(expected), found \(loss)")
    }
  }

  private func losses(_ path: String) throws -> [Double] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").dropFirst()
      .compactMap { Double($0.split(separator: ",")[1]) }
  }
}
