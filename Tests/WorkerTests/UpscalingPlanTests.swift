import Diagnostics
import FlowData
import Testing
import Worker

@Suite struct UpscalingPlanTests {
  /// 4, 2 and 3/2 times, on an autoencoder of 8; the second network wants multiples of 16.
  private let extents = UpscalingExtents(
    factor: 8,
    stages: [
      (Enlargement(from: 128, to: 512), .multiples(of: 4)),
      (Enlargement(from: 64, to: 128), .multiples(of: 16)),
      (Enlargement(from: 2, to: 3), .multiples(of: 1)),
    ])

  private func plan(
    _ sizes: [(Int, Int)], target: Int? = nil
  ) throws -> UpscalingPlan {
    try UpscalingPlan(
      sizes.map { ImageSize(width: $0.0, height: $0.1) }, extents, target: target
    ) { "picture \($0)" }
  }

  @Test(
    "pixels of which sides are made multiples", arguments: [(1, 8), (2, 16), (3, 16)])
  func units(_ stages: Int, _ unit: Int) {
    #expect(extents.unit(stages: stages) == unit)
    // Three halves of a latent: its sides are even.
    #expect(UpscalingExtents(factor: 8, stages: [extents.stages[2]]).unit(stages: 1) == 16)
  }

  @Test(
    "a picture goes through as many stages as it needs",
    arguments: [
      (nil, (100, 60), 3, (112, 64), (1200, 720)), (240, (100, 60), 1, (104, 64), (400, 240)),
      (241, (100, 60), 2, (112, 64), (401, 241)), (480, (100, 60), 2, (112, 64), (800, 480)),
      (720, (1, 60), nil, (0, 0), (0, 0)), (60, (100, 60), nil, (0, 0), (0, 0)),
      (12, (1, 1), 3, (16, 16), (12, 12)),
    ] as [(Int?, (Int, Int), Int?, (Int, Int), (Int, Int))])
  func tasks(
    _ target: Int?, _ size: (Int, Int), _ stages: Int?, _ padded: (Int, Int), _ result: (Int, Int)
  ) throws {
    guard let stages else {
      #expect(throws: UserError.self) { try plan([size], target: target) }
      return
    }
    let task = try plan([size], target: target).tasks[0]
    #expect(task.stages == stages)
    #expect(task.padded == ImageSize(width: padded.0, height: padded.1))
    #expect(task.result == ImageSize(width: result.0, height: result.1))
  }

  @Test("neighbours of one size share an item, whose batch depends on the size alone")
  func items() throws {
    let small = Array(repeating: (16, 16), count: 10)
    let plan = try plan(small + [(9, 9), (64, 64), (16, 16)], target: 70)
    // At the end latents of 16×16, in two stages, and of the large picture 32×32, in one.
    #expect(plan.items.map(\.pictures) == [0..<8, 8..<11, 11..<12, 12..<13])
    #expect(plan.items.map(\.batch) == [8, 8, 4, 8])
    // As many stages, another size.
    let sizes = try self.plan([(16, 16), (16, 40), (40, 16), (40, 16)], target: 70)
    #expect(sizes.items.map(\.pictures) == [0..<1, 1..<2, 2..<4])
  }

  @Test("a network of one size takes that alone")
  func exact() throws {
    let extents = UpscalingExtents(
      factor: 8, stages: [(Enlargement(from: 1, to: 2), .exactly(height: 16, width: 16))])
    #expect(
      try extents.padded(ImageSize(width: 60, height: 64), stages: 1, place: "p")
        == ImageSize(width: 64, height: 64))
    let error = #expect(throws: UserError.self) {
      try extents.padded(ImageSize(width: 72, height: 64), stages: 1, place: "p")
    }
    #expect(error?.expected?.hasPrefix("64×64") == true && error?.status == .badData)
  }

  @Test("fractions in lowest terms")
  func fractions() {
    #expect(Enlargement(from: 24, to: 64) == Enlargement(from: 3, to: 8))
    #expect("\(Enlargement(from: 24, to: 64))" == "8/3" && "\(Enlargement(from: 5, to: 20))" == "4")
    let both = Enlargement(from: 3, to: 8) * Enlargement(from: 4, to: 6)
    #expect(both == Enlargement(from: 1, to: 4))
    #expect(Enlargement(from: 2, to: 3).applied(to: 5) == 7)
  }
}
