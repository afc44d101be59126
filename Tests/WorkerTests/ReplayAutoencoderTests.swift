import FlowData
import Foundation
import Testing
import Worker

@Suite("Autoencoder cases", .serialized)
struct ReplayAutoencoderTests {
  static let cases = [
    "E_vae_diffusers", "E_vae_diffusers_recipe", "E_vae_ldm_recipe", "E_vae_pair_diffusers",
    "E_vae_pair_ldm",
  ]

  @Test("outputs and gradients equal the reference's", arguments: cases)
  func replay(_ name: String) throws {
    let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Fixtures")
    let path = fixtures.appendingPathComponent("\(name).safetensors").path
    let rows = try replayAutoencoderCase(ReferenceCase(file: path))
    // Seven outputs, two input gradients, the worst parameter gradient.
    #expect(rows.count == 10)
    for row in rows {
      #expect(row.ok, "\(row.name): error \(row.error), tolerance \(row.tolerance ?? 0)")
    }
  }
}
