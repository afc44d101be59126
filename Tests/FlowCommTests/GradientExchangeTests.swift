import Diagnostics
import FlowComm
import Testing

/// Sums of micro-batch gradients on ranks that are threads: the bits of one tree, whoever adds.
@Suite struct GradientExchangeTests {
  struct Row: Sendable, CustomStringConvertible {
    var ranks: Int
    var microBatches: Int
    var method: GradientExchange.Method
    var overlap = false
    var description: String {
      "\(microBatches) micro-batches on \(ranks) ranks, \(method)\(overlap ? ", overlapped" : "")"
    }
  }

  static let rows: [Row] =
    [4, 8].flatMap { k in
      [1, 2, 4].flatMap { n in
        [
          Row(ranks: n, microBatches: k, method: .window),
          Row(ranks: n, microBatches: k, method: .pairwise),
          Row(ranks: n, microBatches: k, method: .pairwise, overlap: true),
        ]
      }
    } + [
      Row(ranks: 8, microBatches: 8, method: .window),
      Row(ranks: 8, microBatches: 8, method: .pairwise),
    ]

  static let count = 5 * ShardLayout.chunk

  /// Each micro-batch's share of one element; ordered sums of them differ from the tree's.
  static func gradient(_ i: Int, _ m: Int) -> Float {
    Float((i &* 7919 &+ m &* 104_729) % 1009 - 504) * Float(1 << ((i + 5 * m) % 17)) / 3
  }

  static func tree(_ g: ArraySlice<Float>) -> Float {
    if g.count == 1 { return g.first! }
    let middle = g.startIndex + g.count / 2
    return tree(g[..<middle]) + tree(g[middle...])
  }

  @Test("the sum is the tree's, bit for bit", arguments: rows)
  func bits(_ row: Row) throws {
    var options = GradientExchange.Options()
    options.method = row.method
    options.overlap = row.overlap
    options.cores = 64
    let shards = try ThreadCommunicator.run(ranks: row.ranks) { [options] c -> [Float] in
      let exchange = try GradientExchange(
        c, count: Self.count, microBatches: row.microBatches, options: options)
      #expect(exchange.overlaps == (row.overlap && row.ranks > 1))
      for m in exchange.localMicroBatches {
        for start in stride(from: Self.count - 100_000, through: -100_000, by: -100_000) {
          let range = max(0, start)..<start + 100_000
          for i in range { exchange.arena[i] = Self.gradient(i, m) }
          exchange.finished(range)
        }
        exchange.endMicroBatch()
      }
      return Array(try exchange.wait())
    }
    let sums = shards.flatMap { $0 }
    #expect(sums.count == Self.count)
    var wrong = 0
    var orderMatters = false
    for i in 0..<Self.count {
      let g = (0..<row.microBatches).map { Self.gradient(i, $0) }
      if sums[i].bitPattern != Self.tree(g[...]).bitPattern { wrong += 1 }
      if g.reduce(0, +) != Self.tree(g[...]) { orderMatters = true }
    }
    #expect(wrong == 0)
    #expect(orderMatters)
  }

  @Test("every rank gets every shard", arguments: GradientExchange.Method.allCases, [1, 2, 4])
  func gather(_ method: GradientExchange.Method, _ ranks: Int) throws {
    var options = GradientExchange.Options()
    options.method = method
    let all = try ThreadCommunicator.run(ranks: ranks) { [options] c -> Bool in
      let exchange = try GradientExchange(
        c, count: Self.count, microBatches: 4, options: options)
      var values = [Float](repeating: -1, count: Self.count)
      for i in exchange.layout.range(of: c.rank) { values[i] = Float(i) }
      try values.withUnsafeMutableBufferPointer {
        try exchange.gatherParameters($0.baseAddress!)
      }
      return values == (0..<Self.count).map(Float.init)
    }
    #expect(all == Array(repeating: true, count: ranks))
  }

  @Test("the sum over chunks does not depend on the number of ranks")
  func orderedSum() throws {
    let chunkSums = [1e16, 1, -1e16, 3, 1e-3]
    for ranks in [1, 2, 3, 4, 8] {
      let layout = ShardLayout(count: Self.count, ranks: ranks)
      let sums = try ThreadCommunicator.run(ranks: ranks) { c in
        try c.orderedSum(Array(chunkSums[layout.chunks(of: c.rank)]), layout: layout)
      }
      #expect(sums == Array(repeating: chunkSums.reduce(0, +), count: ranks))
    }
  }

  @Test("without room for a window the buckets go pairwise, and it says so")
  func crowded() throws {
    var options = GradientExchange.Options()
    options.sharedMemoryRoom = 1 << 20
    let notes = try ThreadCommunicator.run(ranks: 2) { [options] c in
      try GradientExchange(c, count: Self.count, microBatches: 4, options: options).note
    }
    #expect(notes[0] == notes[1])
    #expect(notes[0]?.contains("/dev/shm has 1 MiB free") == true)
  }

  @Test("ranks and micro-batches that do not fit", arguments: [(3, 4), (4, 2), (2, 6)])
  func misfit(_ ranks: Int, _ microBatches: Int) throws {
    let error = try #require(throws: UserError.self) {
      try ThreadCommunicator.run(ranks: ranks) { c in
        _ = try GradientExchange(c, count: Self.count, microBatches: microBatches)
      }
    }
    #expect(error.status == .config)
    #expect(error.description.contains("power of two"))
  }
}
