import Foundation
import FlowData
import Testing
import Worker

/// Cases of `Tests/Fixtures` and how many quantities each compares: a row that goes missing fails.
@Suite("replay of reference cases", .serialized)
struct ReplayTests {
  @Test(
    "solvers",
    arguments: [
      ("H_adaptive_const", 12), ("H_adaptive_linear", 53), ("H_adaptive_mlp", 68),
      ("H_adaptive_vdp", 30), ("H_fixed_linear", 90), ("H_fixed_mlp", 90),
      ("H_karras_samplers", 21),
    ])
  func solvers(_ name: String, _ count: Int) throws {
    try expect(replaySolverCase(try fixture(name)), count: count)
  }

  @Test(
    "training",
    arguments: [
      ("J_optimisers", 26), ("J_ema_lfm", 15), ("J_ema_fmb", 25), ("J_lr_schedules", 6),
    ])
  func training(_ name: String, _ count: Int) throws {
    try expect(replayTrainingCase(try fixture(name)), count: count)
  }

  @Test(
    "paths, guidance, ODE and SDE sampling of FMBoost",
    arguments: [
      ("I_flow_core", 45), ("I_generate", 32), ("I_sde_cfg", 4), ("I_sde_gvp", 24),
      ("I_sde_linear", 24),
    ])
  func flows(_ name: String, _ count: Int) throws {
    try expect(replay(try fixture(name)), count: count)
  }

  @Test("image transforms")
  func transforms() throws {
    try expect(replay(try fixture("O_image_transforms")), count: 24)
  }

  @Test("objective")
  func objective() throws {
    try expect(replayObjectiveCase(try fixture("K_lfm_objective")), count: 6)
  }
}

extension ReplayTests {
  @Test(
    "couplings", arguments: [("K_fmb_forward_diffusion", 10), ("K_fmb_upsampling_recipe", 46)])
  func couplings(_ name: String, _ count: Int) throws {
    try expect(replay(try fixture(name)), count: count)
  }
}

func fixture(_ name: String) throws -> ReferenceCase {
  let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent()
  return try ReferenceCase(
    file: tests.appendingPathComponent("Fixtures/\(name).safetensors").path)
}

/// All rows of a case pass, and there are `count` of them.
func expect(_ rows: [ReplayRow], count: Int) throws {
  #expect(rows.count == count)
  for row in rows {
    #expect(row.ok, "\(row.name): error \(row.error), tolerance \(row.tolerance ?? .nan)")
  }
}
