import FlowTensor
import TestSupport
import Testing

struct GroupNormRow: CustomTestStringConvertible, Sendable {
  var shape: [Int]
  var groups: Int
  var activation: Activation = .none
  /// Added to every input: a large one finds sums that cancel.
  var mean: Float = 0.5
  /// With a scale and a shift for every sample.
  var modulated = false

  static let all: [GroupNormRow] = [
    GroupNormRow(shape: [2, 3, 4, 6], groups: 2),
    GroupNormRow(shape: [2, 3, 4, 6], groups: 2, activation: .silu),
    GroupNormRow(shape: [3, 2, 4, 6], groups: 2, modulated: true),
    GroupNormRow(shape: [2, 3, 4, 12], groups: 3, activation: .silu, modulated: true),
    // One channel per group, and one group for all.
    GroupNormRow(shape: [1, 5, 3, 8], groups: 8, activation: .silu),
    GroupNormRow(shape: [3, 7, 10], groups: 1),
    // More than one tile of channels, the last one partial.
    GroupNormRow(shape: [2, 3, 3, 80], groups: 16, activation: .silu),
    // One pixel: statistics over the channels of a group alone.
    GroupNormRow(shape: [4, 1, 1, 12], groups: 3),
  ]

  /// More than one chunk of pixels, partial runs, statistics far from zero.
  static let large: [GroupNormRow] = [
    GroupNormRow(shape: [3, 21, 20, 96], groups: 12, activation: .silu, modulated: true),
    GroupNormRow(shape: [2, 33, 31, 64], groups: 8, activation: .silu),
    GroupNormRow(shape: [1, 40, 41, 96], groups: 32, mean: 1000),
  ]

  var testDescription: String {
    "\(shape) in \(groups) groups, \(activation), mean \(mean)\(modulated ? ", modulated" : "")"
  }

  /// x, weight, bias, and scale and shift of a modulation.
  var tensors: [Tensor] {
    let c = shape.last!
    let draw = { (index: Int) in Philox(seed: 9, stream: .noise, index: index) }
    let x = draw(0).normal(Shape(shape))
    for i in 0..<x.count { x.base[i] = x.base[i] * 1.5 + mean }
    let weight = draw(1).normal([c])
    for i in 0..<c { weight.base[i] += 1 }
    let modulation = modulated ? [draw(3), draw(4)].map { $0.normal([shape[0], c]) } : []
    return [x, weight, draw(2).normal([c])] + modulation
  }

  func apply(_ t: [Tensor]) -> Tensor {
    groupNorm(
      t[0], groups: groups, weight: t[1], bias: t[2], modulation: modulated ? (t[3], t[4]) : nil,
      eps: 1e-5, activation: activation)
  }

  /// The definition in Double.
  func definition(_ t: [Tensor]) -> [Float] {
    let (b, c) = (shape[0], shape.last!)
    let (pixels, width) = (t[0].count / (b * c), c / groups)
    var y = [Float](repeating: 0, count: t[0].count)
    for sample in 0..<b {
      for g in 0..<groups {
        let indices = (0..<pixels).flatMap { p in
          (0..<width).map { (sample * pixels + p) * c + g * width + $0 }
        }
        let x = indices.map { Double(t[0].base[$0]) }
        let mean = x.reduce(0, +) / Double(x.count)
        let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count)
        for (i, value) in zip(indices, x) {
          let normed = (value - mean) / (variance + 1e-5).squareRoot()
          var z = normed * Double(t[1].base[i % c]) + Double(t[2].base[i % c])
          let channel = sample * c + i % c
          if modulated { z = z * Double(1 + t[3].base[channel]) + Double(t[4].base[channel]) }
          y[i] = Float(activation == .silu ? z / (1 + exponential(-z)) : z)
        }
      }
    }
    return y
  }
}

/// e^x by its series after halving the argument ten times: needs no Foundation.
private func exponential(_ x: Double) -> Double {
  let r = x / 1024
  var (sum, term) = (1.0, 1.0)
  for k in 1...12 {
    term *= r / Double(k)
    sum += term
  }
  for _ in 0..<10 { sum *= sum }
  return sum
}

@Suite("Group norm", .serialized)
struct GroupNormTests {
  @Test("equals its definition", arguments: GroupNormRow.all + GroupNormRow.large)
  func definition(_ row: GroupNormRow) {
    let tensors = row.tensors
    let y = row.apply(tensors)
    #expect(y.shape.dims == row.shape)
    // x − mean has the round-off of x itself, and no more.
    let tolerance = 1e-6 + 1e-7 * Double(row.mean) / 1.5
    #expect(relativeError(y.values, row.definition(tensors)) < tolerance)
  }

  @Test("gradients equal central differences", arguments: GroupNormRow.all)
  func gradients(_ row: GroupNormRow) {
    for comparison in compareGradients(row.tensors, row.apply) {
      #expect(comparison.error < 1e-3, "\(comparison)")
    }
  }

  @Test("contributions add up; bits do not depend on threads", arguments: GroupNormRow.large)
  func threads(_ row: GroupNormRow) {
    let before = Threads.count
    defer { Threads.use(before) }
    var results: [[[UInt32]]] = []
    for threads in [1, 2, 3] {
      Threads.use(threads)
      let tape = Tape()
      let riding = row.tensors.map { tape.ride($0) }
      let y = row.apply(riding)
      tape.backward(from: projected(y, on: Philox(seed: 1, stream: .mask).normal(y.shape)))
      let all = [y.values] + riding.map { $0.gradient!.values! }
      results.append(all.map { $0.map(\.bitPattern) })
    }
    #expect(results[1] == results[0])
    #expect(results[2] == results[0])
  }

  @Test("a second use adds its gradient to the first", arguments: GroupNormRow.all)
  func twoUses(_ row: GroupNormRow) {
    let twice: ([Tensor]) -> Tensor = { row.apply($0) + row.apply($0) }
    for comparison in compareGradients(row.tensors, twice) {
      #expect(comparison.error < 1e-3, "\(comparison)")
    }
  }
}
