import FlowComm
import Testing

@Suite struct ShardLayoutTests {
  @Test("shards cover the arena in rank order, edges on chunk edges", arguments: [0, 1, 3, 4, 37])
  func cover(_ chunks: Int) {
    for ranks in [1, 2, 3, 4, 8] {
      let layout = ShardLayout(count: chunks * ShardLayout.chunk, ranks: ranks)
      var end = 0
      for rank in 0..<ranks {
        let range = layout.range(of: rank)
        #expect(range.lowerBound == end)
        #expect(range.lowerBound % ShardLayout.chunk == 0)
        #expect(range.count == layout.chunks(of: rank).count * ShardLayout.chunk)
        #expect(
          [chunks / ranks, (chunks + ranks - 1) / ranks].contains(layout.chunks(of: rank).count))
        end = range.upperBound
      }
      #expect(end == layout.count)
    }
  }

  @Test func padding() {
    #expect([0, 1, 65_536, 65_537].map(ShardLayout.padded) == [0, 65_536, 65_536, 131_072])
  }
}
