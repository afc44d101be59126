import FlowTensor
import Testing

@Suite("Counter-based random numbers")
struct PhiloxTests {
  /// Known answers of the Random123 library (kat_vectors, philox4x32 10).
  @Test(
    "reproduce the published test vectors",
    arguments: [
      (SIMD4<UInt32>(0, 0, 0, 0), [UInt32(0), 0],
        SIMD4<UInt32>(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8)),
      (SIMD4<UInt32>(repeating: .max), [.max, .max],
        SIMD4<UInt32>(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd)),
      (SIMD4<UInt32>(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344),
        [0xa409_3822, 0x299f_31d0],
        SIMD4<UInt32>(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1)),
    ])
  func knownAnswers(counter: SIMD4<UInt32>, key: [UInt32], expected: SIMD4<UInt32>) {
    #expect(Philox.bijection(counter: counter, key: (key[0], key[1])) == expected)
  }

  @Test("normal draws have the moments of a standard normal distribution")
  func normalMoments() {
    let x = Philox(seed: 5, stream: .noise, step: 3, index: 9).normal([200_000]).values
    let n = Double(x.count)
    let mean = x.reduce(0.0) { $0 + Double($1) } / n
    let moments = [2, 3, 4].map { power in
      x.reduce(0.0) { sum, v in
        sum + (0..<power).reduce(1.0) { p, _ in p * (Double(v) - mean) }
      } / n
    }
    #expect(abs(mean) < 0.01)
    #expect(abs(moments[0] - 1) < 0.015)
    #expect(abs(moments[1]) < 0.03)
    #expect(abs(moments[2] - 3) < 0.08)
  }

  @Test("streams, steps, indices and seeds give different draws; equal ones give equal draws")
  func independence() {
    let base = Philox(seed: 1, stream: .noise, step: 2, index: 3).normal([8]).values
    #expect(base == Philox(seed: 1, stream: .noise, step: 2, index: 3).normal([8]).values)
    let others = [
      Philox(seed: 2, stream: .noise, step: 2, index: 3),
      Philox(seed: 1, stream: .time, step: 2, index: 3),
      Philox(seed: 1, stream: .noise, step: 3, index: 2),
      Philox(seed: 1, stream: .noise, step: 2, index: 3 + 1 << 33),
      Philox(seed: 1 << 40 | 1, stream: .noise, step: 2, index: 3),
    ]
    for other in others { #expect(other.normal([8]).values != base) }
  }

  @Test("a permutation holds every index once and depends on its generator")
  func permutations() {
    let first = permutation(of: 1000, Philox(seed: 1, stream: .shuffle, step: 0))
    #expect(first.sorted() == Array(0..<1000))
    #expect(first != permutation(of: 1000, Philox(seed: 1, stream: .shuffle, step: 1)))
    #expect(permutation(of: 0, Philox(seed: 1, stream: .shuffle)).isEmpty)
  }
}
