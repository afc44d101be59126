import Coordinator
import Diagnostics
import Testing

@Suite("configuration of label maps") struct SemanticConfigTests {
  private func config(_ text: String) throws -> RunConfig {
    try RunConfig(ConfigDocument(text: text, name: "x.yaml"))
  }

  @Test("without maps the resolved file is what it was")
  func unwritten() throws {
    let plain = try config("seed: 1\n").yaml
    #expect(!plain.contains("context_channels") && !plain.contains("semantic"))
    let written = try config(
      "model: { context_channels: 4 }\nsemantic: { classes: 17 }\n").yaml
    #expect(written.contains("context_channels: 4") && written.contains("classes: 17"))
    #expect(written.contains("stages: 3"))
    #expect(try config(written).yaml == written)
  }

  @Test(
    "refuses",
    arguments: [
      ("semantic: { classes: 17 }\n", "model.context_channels"),
      ("semantic: { classes: 300 }\nmodel: { context_channels: 4 }\n", "semantic.classes"),
      ("semantic: { stage: 3 }\nmodel: { context_channels: 4 }\n", "semantic.stages"),
      (
        "semantic: { classes: 17 }\nmodel: { context_channels: 4 }\nsamples: { every: 5 }\n",
        "latentflow synthesize"
      ),
      (
        "semantic: { classes: 17 }\nmodel: { context_channels: 4 }\ncoupling: { kind: upsampling }\n",
        "coupling.kind"
      ),
    ])
  func refuses(_ text: String, _ mention: String) throws {
    let error = #expect(throws: UserError.self) { try config(text) }
    #expect(error?.description.contains(mention) == true, "\(error?.description ?? "")")
    #expect(error?.status == .config)
  }
}
