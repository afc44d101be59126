import Diagnostics
import FlowComm
import Testing

@Suite struct WorkQueueTests {
  @Test("every item once, its result delivered on rank 0", arguments: [1, 2, 3, 4], [0, 1, 23])
  func items(_ ranks: Int, _ count: Int) throws {
    let delivered = try ThreadCommunicator.run(ranks: ranks) { c -> [Int: [UInt8]] in
      var results: [Int: [UInt8]] = [:]
      for _ in 0..<2 {  // a second queue follows at once
        results = [:]
        try WorkQueue(c).run(count: count) {
          [UInt8($0), 1]
        } deliver: {
          #expect(results.updateValue($1, forKey: $0) == nil)
        }
      }
      return results
    }
    #expect(delivered[0].count == count)
    #expect(delivered[0].allSatisfy { $1 == [UInt8($0), 1] })
    #expect(delivered.dropFirst().allSatisfy { $0.isEmpty })
  }

  @Test(
    "an item that fails anywhere ends the queue on all ranks", arguments: [1, 2, 4], [0, 11, 22])
  func failure(_ ranks: Int, _ bad: Int) throws {
    let outcomes = try ThreadCommunicator.run(ranks: ranks) { c -> (subject: String?, last: Int) in
      var last = 0
      do {
        try WorkQueue(c).run(count: 23) { item in
          last = item
          if item == bad { throw UserError(.badData, "item \(item)", found: "broken") }
          return []
        } deliver: { _, _ in
        }
        return (nil, last)
      } catch let error as UserError {
        return (error.subject, last)
      }
    }
    #expect(outcomes.map(\.subject) == Array(repeating: "item \(bad)", count: ranks))
    if ranks == 1 { #expect(outcomes[0].last == bad) }
  }

  @Test("a delivery that fails ends the queue on all ranks", arguments: [1, 3])
  func failedDelivery(_ ranks: Int) throws {
    let statuses = try ThreadCommunicator.run(ranks: ranks) { c -> Diagnostics.ExitStatus? in
      do {
        try WorkQueue(c).run(count: 23) { _ in
          []
        } deliver: { item, _ in
          if item == 5 { throw UserError(.io, "out.png", found: "no space left") }
        }
        return nil
      } catch let error as UserError {
        return error.status
      }
    }
    #expect(statuses == Array(repeating: .io, count: ranks))
  }
}
