import Foundation
import TestSupport
import Testing

private let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().appendingPathComponent("Fixtures").path

/// Runs the product with no time to spare for a hang.
func command(_ arguments: String...) throws -> Answer {
  try command(arguments)
}

func command(_ arguments: [String]) throws -> Answer {
  let (status, output, errors) = try runProcess(
    productPath("latentflow"), arguments, timeout: 120)
  return Answer(status: status, output: output, errors: errors)
}

@Suite("debug replay", .serialized) struct DebugReplayTests {
  /// A reference case as bytes, to be damaged.
  struct CaseFile {
    var bytes: [UInt8]
    private let offsets: [String: Range<Int>]

    init(_ name: String) throws {
      let data = try Data(contentsOf: URL(fileURLWithPath: "\(fixtures)/\(name).safetensors"))
      bytes = Array(data)
      let length = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
      let header = try #require(
        try JSONSerialization.jsonObject(with: data[8..<8 + length]) as? [String: [String: Any]])
      offsets = header.compactMapValues { ($0["data_offsets"] as? [Int]) }
        .mapValues { 8 + length + $0[0]..<8 + length + $0[1] }
    }

    /// Flips the sign of an F32 or F64 tensor's last element.
    mutating func damage(_ tensor: String) throws {
      bytes[try #require(offsets[tensor]).upperBound - 1] ^= 0x80
    }

    /// Replaces text, wherever the header has it, by text of the same length.
    mutating func rename(_ old: String, _ new: String) throws {
      try #require(old.utf8.count == new.utf8.count && old != new)
      _ = try #require(Data(bytes).range(of: Data(old.utf8)))
      while let place = Data(bytes).range(of: Data(old.utf8)) {
        bytes.replaceSubrange(place, with: Array(new.utf8))
      }
    }

    func write(_ folder: ScratchFolder) throws -> String {
      let path = "\(folder.path)/case.safetensors"
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      return path
    }
  }

  @Test("all cases pass")
  func all() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: fixtures)
      .filter { $0.hasSuffix(".safetensors") }.sorted()
    #expect(names.count == 58)
    let answer = try command(["debug", "replay"] + names.map { "\(fixtures)/\($0)" })
    #expect(answer.status == 0 && answer.errors == "")
    var lines = answer.output.split(separator: "\n")
    let last = lines.removeLast()
    #expect(last == "\(lines.count) passed, 0 failed")
    #expect(lines.allSatisfy { $0.hasSuffix("  ok") })
    for name in names { #expect(answer.output.contains(name.dropLast(12) + "  ")) }
  }

  @Test("a damaged output fails, and only that one")
  func damaged() throws {
    let folder = try ScratchFolder()
    var file = try CaseFile("A_dit_p4_labels")
    try file.damage("outputs.out_no_label")
    try file.damage("outputs64.out_no_label")
    let answer = try command("debug", "replay", try file.write(folder))
    #expect(answer.status == 1 && answer.errors == "")
    let lines = answer.output.split(separator: "\n")
    let failed = lines.filter { $0.hasSuffix("  FAIL") }
    #expect(failed.count == 1 && failed[0].contains("  out_no_label  "))
    #expect(lines.last == "4 passed, 1 failed")
  }

  @Test("a damaged gradient fails")
  func damagedGradient() throws {
    let folder = try ScratchFolder()
    var file = try CaseFile("A_dit_p2_uncond")
    try file.damage("grads.blocks.1.attn.proj.weight")
    let answer = try command("debug", "replay", try file.write(folder))
    #expect(answer.status == 1)
    #expect(answer.output.contains("grads, worst of 31: blocks.1.attn.proj.weight"))
    #expect(answer.output.hasSuffix("\n4 passed, 1 failed\n"))
  }

  @Test("a network that is not built fails under its name")
  func unsupported() throws {
    let folder = try ScratchFolder()
    var file = try CaseFile("A_dit_p4_labels")
    try file.rename("LFM.DiT", "LFM.XYZ")
    let answer = try command("debug", "replay", try file.write(folder))
    #expect(answer.status == 1)
    #expect(answer.output.contains("unsupported: LFM.XYZ  "))
    #expect(answer.output.hasSuffix("  FAIL\n0 passed, 1 failed\n"))
  }

  @Test("an output that nothing compares fails")
  func uncompared() throws {
    let folder = try ScratchFolder()
    var file = try CaseFile("A_dit_learn_sigma_cfg")
    try file.rename("outputs.cfg_out", "outputs.cfg_new")
    let answer = try command("debug", "replay", try file.write(folder))
    #expect(answer.status == 1)
    #expect(answer.output.contains("cfg_new: not compared  "))
    #expect(answer.output.hasSuffix("\n4 passed, 1 failed\n"))
  }

  @Test("--json says the same")
  func json() throws {
    let folder = try ScratchFolder()
    var file = try CaseFile("A_dit_p2_uncond")
    try file.damage("outputs.out_scalar_t")
    try file.damage("outputs64.out_scalar_t")
    let path = try file.write(folder)
    let answer = try command("debug", "replay", folder.path, "--json")
    #expect(answer.status == 1)
    let root = try #require(
      try JSONSerialization.jsonObject(with: Data(answer.output.utf8)) as? [String: Any])
    #expect(root["passed"] as? Int == 4 && root["failed"] as? Int == 1)
    let cases = try #require(root["cases"] as? [[String: Any]])
    #expect(cases.count == 1 && cases[0]["name"] as? String == "A_dit_p2_uncond")
    #expect(cases[0]["file"] as? String == path)
    let rows = try #require(cases[0]["rows"] as? [[String: Any]])
    #expect(rows.count { $0["ok"] as? Bool == true } == 4)
    #expect(rows.first { $0["ok"] as? Bool == false }?["name"] as? String == "out_scalar_t")
  }

  @Test("what is no case is told as such")
  func refused() throws {
    let folder = try ScratchFolder()
    let text = try folder.write("no tensors in here", to: "a.safetensors")
    #expect(try command("debug", "replay", "\(folder.path)/none").status == 66)
    #expect(try command("debug", "replay", text).status == 65)
    #expect(try command("debug", "replay").status == 64)
    let good = "\(fixtures)/files/safetensors_good_minimal.safetensors"
    let answer = try command("debug", "replay", good)
    #expect(answer.status == 65 && answer.errors.contains("a reference case"))
  }
}
