import Coordinator
import Foundation
import Testing

@Suite(.serialized) struct InspectNetworkTests {
  private static let yaml = """
    model: { kind: dit, width: 64, depth: 3, heads: 2, patch: 2, classes: 0 }
    training: { micro_batch: 4, micro_batches: 4 }
    """

  private func report(_ yaml: String, _ options: String...) throws -> [String: Any] {
    let folder = try ScratchFolder()
    let file = try folder.write(yaml, to: "x.yaml")
    let answer = try latentflow(["inspect", file, "--json"] + options)
    try #require(answer.status == 0, "\(answer)")
    let json = try JSONSerialization.jsonObject(with: Data(answer.output.utf8))
    return try #require((json as? [String: Any])?["network"] as? [String: Any])
  }

  @Test("parameters per block, equal blocks in one row")
  func blocks() throws {
    let network = try report(Self.yaml, "--latent-shape", "8,8,4")
    let blocks = try #require(network["blocks"] as? [[String: Any]])
    let row = try #require(blocks.first { $0["name"] as? String == "blocks.0 … blocks.2" })
    // qkv 64→192, projection 64→64, MLP 64→256→64, modulation 64→384.
    #expect(row["parameters"] as? Int == 12_480 + 4_160 + 16_640 + 16_448 + 24_960)
    #expect(row["count"] as? Int == 3)
    #expect(network["constants"] as? Int == 16 * 64)
    // 16 tokens: per block 4·64² + 8·64² products a token, attention, modulation; ends; time.
    let block: Double = 16 * 12 * 4096 + 2 * 256 * 64 + 6 * 4096
    let ends: Double = 2 * 16 * 64 * 16 + 2 * 4096
    let products = 3 * block + ends + 256 * 64 + 4096
    #expect(network["flopsPerSample"] as? Double == 2 * products)
  }

  @Test("memory grows with the batch and shrinks with the ranks")
  func memory() throws {
    func bytes(_ key: String, _ options: String...) throws -> Double {
      let folder = try ScratchFolder()
      let file = try folder.write(Self.yaml, to: "x.yaml")
      let answer = try latentflow(
        ["inspect", file, "--json", "--latent-shape", "32,32,4"] + options)
      let json = try JSONSerialization.jsonObject(with: Data(answer.output.utf8))
      let network = try #require((json as? [String: Any])?["network"] as? [String: Any])
      return try #require(network[key] as? Double)
    }
    let one = try bytes("trainingMemory", "--batch", "1")
    let two = try bytes("trainingMemory", "--batch", "2")
    let four = try bytes("trainingMemory", "--batch", "4")
    #expect(one < two && abs((four - two) - 2 * (two - one)) < 1)
    #expect(try bytes("trainingMemory", "--batch", "4", "--ranks", "4") < four)
    #expect(try bytes("samplingMemory", "--batch", "4") < four)
  }

  @Test("a configuration that does not tell the latents' shape asks for it")
  func unknownShape() throws {
    let folder = try ScratchFolder()
    let file = try folder.write("data: {cache: nowhere}\n", to: "x.yaml")
    let answer = try latentflow("inspect", file)
    #expect(answer.status == 64 && answer.errors.contains("give --latent-shape 32,32,4"))
    #expect(try latentflow("inspect", file, "--latent-shape", "8,8").status == 64)
    #expect(try latentflow("inspect", file, "--batch", "0").status == 64)
  }
}
