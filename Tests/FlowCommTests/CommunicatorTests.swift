import Diagnostics
import FlowComm
import Foundation
import Testing

/// What every communicator promises, on ranks that are threads; MPI's own is in MPITests.
@Suite struct CommunicatorTests {
  @Test("collectives", arguments: [1, 2, 3, 4])
  func collectives(_ ranks: Int) throws {
    let results = try ThreadCommunicator.run(ranks: ranks) { c in
      let token = try c.broadcast(c.rank == ranks - 1 ? [7, 8, 9] : [], from: ranks - 1)
      let gathered = try c.gather([UInt8](repeating: 1, count: c.rank), to: 0)
      try c.barrier()
      return (
        token: token, gathered: gathered?.map(\.count),
        all: try c.allGather([Double(c.rank)]).map { $0[0] },
        sum: try c.allReduceSum([1e16, c.rank == 0 ? -1e16 : 1])[1],
        integers: try [.sum, .max, .min].map { try c.allReduce([Int64(c.rank) + 1], $0)[0] }
      )
    }
    for (rank, result) in results.enumerated() {
      #expect(result.token == [7, 8, 9])
      #expect(result.gathered == (rank == 0 ? Array(0..<ranks) : nil))
      #expect(result.all == (0..<ranks).map(Double.init))
      // In rank order: each 1 is lost in the rounding of −1e16, one at a time.
      #expect(result.sum == (1..<ranks).reduce(-1e16) { sum, _ in sum + 1 })
      #expect(result.integers == [Int64(ranks * (ranks + 1) / 2), Int64(ranks), 1])
    }
  }

  @Test("messages keep their order per tag, and any sender is heard")
  func messages() throws {
    let heard = try ThreadCommunicator.run(ranks: 3) { c -> [Int] in
      guard c.rank == 0 else {
        try c.send([1], to: 0, tag: c.rank)
        try c.send([2], to: 0, tag: 9)
        try c.send([3], to: 0, tag: 9)
        return []
      }
      let fromTwo = try c.receive(from: 2, tag: 9) + c.receive(from: 2, tag: 9)
      let anyone = try c.receiveAny(tag: 9)!
      let second = try c.receive(from: anyone.source, tag: 9, timeout: 10)
      let late = try c.receive(from: 2, tag: 2)
      let nothing = try c.receiveAny(tag: 5, timeout: 0) == nil
      return (fromTwo + anyone.bytes + second + late).map(Int.init)
        + [anyone.source, nothing ? 1 : 0]
    }
    #expect(heard[0] == [2, 3, 2, 3, 1, 1, 1])
  }

  @Test("a silent peer is an error that names it")
  func silence() throws {
    let error = try #require(throws: UserError.self) {
      try ThreadCommunicator.run(ranks: 2) { c in
        if c.rank == 0 { _ = try c.receive(from: 1, tag: 5, timeout: 0.01) }
      }
    }
    #expect(error.status == .io)
    #expect(error.description.contains("rank 0 of 2, receive from rank 1, tag 5"))
  }

  @Test("all ranks get the lowest failing rank's error", arguments: [[], [0], [2], [1, 3]])
  func agree(_ failing: [Int]) throws {
    let errors = try ThreadCommunicator.run(ranks: 4) { c in
      try c.agree(
        error: failing.contains(c.rank)
          ? UserError(.badData, "file \(c.rank)", at: nil, found: "größer", advice: "") : nil)
    }
    let expected = failing.first.map {
      UserError(.badData, "file \($0)", at: nil, found: "größer", advice: "")
    }
    #expect(errors == Array(repeating: expected, count: 4))
  }

  @Test("what fails on one rank throws on all, a foreign error too")
  func together() throws {
    struct Defect: Error {}
    let statuses = try ThreadCommunicator.run(ranks: 3) { c -> Diagnostics.ExitStatus? in
      do {
        try c.together { if c.rank == 1 { throw Defect() } }
        return nil
      } catch let error as UserError {
        return error.status
      }
    }
    #expect(statuses == [.internal, .internal, .internal])
  }

  @Test("abort on one rank ends the others' waiting")
  func abort() throws {
    let error = try #require(throws: UserError.self) {
      try ThreadCommunicator.run(ranks: 3) { c in
        if c.rank == 2 { try c.abort(UserError(.badData, "row 17", found: "broken")) }
        _ = try c.receive(from: 2, tag: 1)
      }
    }
    #expect(error.subject == "row 17")
  }

  @Test("a single rank needs no peer")
  func single() throws {
    let c = SingleRank()
    #expect(try c.broadcast([1, 2], from: 0) == [1, 2])
    #expect(try c.allGather([UInt8(3)]) == [[3]])
    #expect(try c.allReduceSum([0.5]) == [0.5])
    #expect(try c.agree(error: nil) == nil)
    #expect(throws: UserError.self) { try c.send([1], to: 1, tag: 0) }
  }
}
