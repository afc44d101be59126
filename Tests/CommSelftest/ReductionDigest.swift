import FlowComm

/// What a reduction gave, for comparison between methods and numbers of ranks.
struct ReductionDigest {
  var hash: UInt64 = 0xcbf2_9ce4_8422_2325  // FNV-1a over the words of the sum
  var orderedSum = 0.0
  var overlaps = false
  var note: String?

  mutating func add(_ value: Float) {
    hash = (hash ^ UInt64(value.bitPattern)) &* 0x100_0000_01b3
  }

  /// Fields separated by "|": hash, ordered sum, whether buckets left early, note.
  var text: String {
    "\(String(hash, radix: 16))|\(orderedSum)|\(overlaps)|\(note ?? "")"
  }
}

/// Gradient element `i` of micro-batch `m` in global step `step`: magnitudes differ by 2^24, so
/// that every order of additions rounds differently.
private func gradient(_ i: Int, _ m: Int, _ step: Int) -> Float {
  var x = UInt64(truncatingIfNeeded: i &* 0x9E37_79B9 &+ m &* 0x85EB_CA6B &+ step &* 0xC2B2_AE35)
  x = (x ^ (x >> 29)) &* 0xBF58_476D_1CE4_E5B9
  x = (x ^ (x >> 32)) &* 0x94D0_49BB_1331_11EB
  let mantissa = Float(Int64(bitPattern: x) >> 40) / 8_388_608
  return mantissa * Float(1 << Int(x & 15))
}

/// Two global steps; the sum's shards are added to values and gathered like updated parameters.
func reductionDigest(
  _ ranks: any Communicator, microBatches: Int, _ options: GradientExchange.Options
) throws -> ReductionDigest {
  let count = arenaCount
  let exchange = try GradientExchange(
    ranks, count: count, microBatches: microBatches, options: options)
  let values = UnsafeMutablePointer<Float>.allocate(capacity: count)
  values.initialize(repeating: 0, count: count)
  defer { values.deallocate() }
  var digest = ReductionDigest(overlaps: exchange.overlaps, note: exchange.note)
  for step in 0..<2 {
    for m in exchange.localMicroBatches {
      // Backward order: from the end of the arena, in uneven ranges; the first one is never
      // marked, as a parameter without a gradient.
      for range in backwardRanges(count) {
        for i in range { exchange.arena[i] = gradient(i, m, step) }
        if range.lowerBound > 0 { exchange.finished(range) }
      }
      exchange.endMicroBatch()
    }
    let shard = try exchange.wait()
    let own = exchange.layout.range(of: ranks.rank)
    for i in own { values[i] += shard[i - own.lowerBound] }
    digest.orderedSum += try ranks.orderedSum(
      exchange.layout.chunks(of: ranks.rank).map { chunk in
        let start = chunk * ShardLayout.chunk - own.lowerBound
        return shard[start..<start + ShardLayout.chunk].reduce(0.0) { $0 + Double($1) }
      }, layout: exchange.layout)
    try exchange.gatherParameters(values)
  }
  for i in 0..<count { digest.add(values[i]) }
  return digest
}

/// The same by definition, without FlowComm: `sum` adds one element's gradients over micro-batches.
func referenceDigest(microBatches: Int, sum: ([Float]) -> Float) -> ReductionDigest {
  var digest = ReductionDigest()
  var values = [Float](repeating: 0, count: arenaCount)
  for step in 0..<2 {
    var total = 0.0
    for start in stride(from: 0, to: arenaCount, by: ShardLayout.chunk) {
      var chunkSum = 0.0
      for i in start..<start + ShardLayout.chunk {
        let summed = sum((0..<microBatches).map { gradient(i, $0, step) })
        values[i] += summed
        chunkSum += Double(summed)
      }
      total += chunkSum
    }
    digest.orderedSum += total
  }
  for value in values { digest.add(value) }
  return digest
}

/// ((g0 + g1) + (g2 + g3)) + …
func treeSum(_ g: [Float]) -> Float {
  g.count == 1
    ? g[0] : treeSum(Array(g.prefix(g.count / 2))) + treeSum(Array(g.suffix(g.count / 2)))
}

/// 13 chunks: no multiple of any number of ranks.
private let arenaCount = 13 * ShardLayout.chunk

private func backwardRanges(_ count: Int) -> [Range<Int>] {
  var ranges: [Range<Int>] = []
  var end = count
  while end > 0 {
    let start = max(0, end - 100_003)
    ranges.append(start..<end)
    end = start
  }
  return ranges
}
