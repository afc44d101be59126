import Diagnostics
import FlowData
import Testing

struct ShardPlanTests {
  @Test("an epoch draws every sample at most once and drops the incomplete batch")
  func epochs() throws {
    let plan = try ShardPlan(seed: 7, count: 103, microBatchSize: 5, microBatches: 4)
    #expect(plan.stepsPerEpoch == 5)
    var orders: [[Int]] = []
    for epoch in 0..<3 {
      let steps = epoch * 5..<(epoch + 1) * 5
      #expect(steps.allSatisfy { plan.epoch(ofStep: $0) == epoch })
      let drawn = steps.flatMap { plan.indices(step: $0) }
      #expect(drawn.count == 100 && Set(drawn).count == 100)
      #expect(drawn.allSatisfy { (0..<103).contains($0) })
      orders.append(drawn)
    }
    #expect(Set(orders).count == 3)
    // Over many epochs nothing is left out for good.
    #expect(Set(orders.joined()).count == 103)
  }

  @Test("micro-batches make up the batch; any order of questions gives the same answers")
  func microBatches() throws {
    let plan = try ShardPlan(seed: 7, count: 103, microBatchSize: 5, microBatches: 4)
    let other = try ShardPlan(seed: 7, count: 103, microBatchSize: 5, microBatches: 4)
    let halves = try ShardPlan(seed: 7, count: 103, microBatchSize: 10, microBatches: 2)
    for step in [12, 0, 7, 12, 3] {
      let batch = plan.indices(step: step)
      #expect((0..<4).flatMap { other.microBatch(step: step, $0) } == batch)
      #expect(halves.indices(step: step) == batch)
    }
    let reseeded = try ShardPlan(seed: 8, count: 103, microBatchSize: 5, microBatches: 4)
    #expect(reseeded.indices(step: 0) != plan.indices(step: 0))
  }

  @Test("the order is a promise: these numbers change only with the format of runs")
  func golden() throws {
    let plan = try ShardPlan(seed: 1, count: 10, microBatchSize: 2, microBatches: 2)
    #expect(
      (0..<4).map { plan.indices(step: $0) }
        == [[4, 5, 9, 3], [2, 8, 0, 1], [6, 1, 7, 4], [2, 0, 8, 5]])
  }

  @Test("a data set smaller than the batch")
  func tooSmall() throws {
    let error = #expect(throws: UserError.self) {
      try ShardPlan(seed: 0, count: 31, microBatchSize: 8, microBatches: 4)
    }
    #expect(error?.status == .config)
    #expect(error?.found == "31 samples for a batch of 32")
    let just = try ShardPlan(seed: 0, count: 32, microBatchSize: 8, microBatches: 4)
    #expect(just.stepsPerEpoch == 1)
  }
}
