import Coordinator
import Diagnostics
import Testing

@Suite struct CascadeConfigTests {
  private static let text = """
    autoencoder: models/vae
    stages:
      - { model: runs/a, from: 128, to: 512, steps: 20 }
      - { model: b.yaml, weights: b.ckpt, solver: dopri5, rtol: 1.0e-3, averaged: false }
      - { model: runs/c, noising_step: 200 }
    """

  private func cascade(_ text: String) throws -> CascadeConfig {
    try CascadeConfig(ConfigDocument(text: text, name: "x"))
  }

  @Test("what is written is what is read, and reads back")
  func roundTrip() throws {
    let config = try cascade(Self.text)
    #expect(config.autoencoder == "models/vae" && config.stages.count == 3)
    #expect(config.stages[0].to == 512 && config.stages[0].steps == 20)
    #expect(config.stages[1].solver == .dopri5 && config.stages[1].rtol == 1e-3)
    #expect(!config.stages[1].averaged && config.stages[1].weights == "b.ckpt")
    #expect(config.stages[2].noisingStep == 200 && config.stages[2].averaged)
    #expect(try cascade(config.yaml) == config, "\(config.yaml)")
    #expect(config.tree.leaves().contains { $0 == ("stages.1.solver", "dopri5") })
    #expect(config.fingerprint != (try cascade(Self.text.replacing("20", with: "21"))).fingerprint)
  }

  @Test(
    "is refused with its place",
    arguments: [
      ("stages: 3", "found 3; expected a list of sections"),
      ("stages: [a]", "stages.0: found a; expected a section of named fields"),
      ("stages: [{ from: 3 }]", "stages.0.model: no model"),
      ("stages: [{ model: a, to: x }]", "stages.0.to: found x; expected an integer"),
      ("stages: [{ model: a }, { modle: b }]", "unknown key stages.1.modle"),
      ("stages: [{ model: a, from: 8, to: 4 }]", "stages.0.to: 4 from 8"),
      ("stages: [{ model: a, to: 8 }, { model: b, from: 4 }]", "the stage before ends at 8"),
      ("stages: [{ model: a, rtol: 1e-3 }]", "stages.0.rtol: a tolerance of euler"),
      ("stage: [{ model: a }]", "did you mean stages?"),
    ])
  func refusals(_ text: String, _ message: String) {
    let error = #expect(throws: UserError.self) { try cascade(text) }
    #expect(error?.status == .config)
    #expect(error.map { "\($0)".contains(message) } == true, "\(error.map { "\($0)" } ?? "")")
  }
}
