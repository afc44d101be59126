import FlowTensor
import TestSupport
import Testing

/// A convolution to try: what the code paths distinguish.
struct ConvolutionRow: CustomTestStringConvertible, Sendable {
  var batch = 2
  var height = 5
  var width = 6
  var inputs = 3
  var outputs = 4
  var kernel = 3
  var stride = 1
  var padding = Padding(1)
  var bias = true

  static let all: [ConvolutionRow] = [
    ConvolutionRow(),
    ConvolutionRow(inputs: 16, outputs: 3, bias: false),
    ConvolutionRow(batch: 1, inputs: 5, outputs: 17),
    ConvolutionRow(kernel: 1, padding: .none),
    ConvolutionRow(kernel: 1, stride: 2, padding: .none),
    ConvolutionRow(
      height: 6, stride: 2, padding: Padding(top: 0, left: 0, bottom: 1, right: 1)),
    ConvolutionRow(inputs: 16, outputs: 16, stride: 2),
    ConvolutionRow(kernel: 2, padding: .none),
    // Padding wider than kernel − 1 has no transposed convolution.
    ConvolutionRow(kernel: 2, padding: Padding(top: 2, left: 0, bottom: 1, right: 2)),
  ]

  /// Wide enough for blocks of channels, both ways; central differences would take seconds.
  static let wide = [
    ConvolutionRow(inputs: 64, outputs: 80),
    ConvolutionRow(
      inputs: 80, outputs: 64, kernel: 2, padding: Padding(top: 1, left: 0, bottom: 0, right: 1),
      bias: false),
    ConvolutionRow(inputs: 64, outputs: 64, stride: 2),
  ]

  var testDescription: String {
    "[\(batch), \(height), \(width), \(inputs)] by \(outputs)×\(kernel)×\(kernel), stride "
      + "\(stride), \(padding)\(bias ? ", bias" : "")"
  }

  /// x, weight and, if wanted, bias.
  var tensors: [Tensor] {
    let draw = { (index: Int) in Philox(seed: 3, stream: .noise, index: index) }
    return [
      draw(0).normal([batch, height, width, inputs]),
      draw(1).normal([outputs, inputs, kernel, kernel]),
    ] + (bias ? [draw(2).normal([outputs])] : [])
  }

  func apply(_ t: [Tensor]) -> Tensor {
    convolution(
      t[0], weight: t[1], bias: t.count > 2 ? t[2] : nil, stride: stride, padding: padding)
  }

  /// The definition, summed in Double.
  func definition(_ t: [Tensor]) -> (shape: Shape, values: [Float]) {
    let outHeight = (height + padding.top + padding.bottom - kernel) / stride + 1
    let outWidth = (width + padding.left + padding.right - kernel) / stride + 1
    var values: [Float] = []
    for b in 0..<batch {
      for i in 0..<outHeight {
        for j in 0..<outWidth {
          for o in 0..<outputs {
            var sum = bias ? Double(t[2].base[o]) : 0
            for u in 0..<kernel {
              for v in 0..<kernel {
                let (row, column) = (i * stride + u - padding.top, j * stride + v - padding.left)
                guard (0..<height).contains(row), (0..<width).contains(column) else { continue }
                for c in 0..<inputs {
                  sum += Double(t[0].base[((b * height + row) * width + column) * inputs + c])
                    * Double(t[1].base[((o * inputs + c) * kernel + u) * kernel + v])
                }
              }
            }
            values.append(Float(sum))
          }
        }
      }
    }
    return ([batch, outHeight, outWidth, outputs], values)
  }
}

@Suite("Convolution", .serialized)
struct ConvolutionTests {
  @Test("equals its definition", arguments: ConvolutionRow.all + ConvolutionRow.wide)
  func definition(_ row: ConvolutionRow) {
    let tensors = row.tensors
    let (shape, values) = row.definition(tensors)
    let y = row.apply(tensors)
    #expect(y.shape == shape)
    #expect(relativeError(y.values, values) < 1e-6)
  }

  @Test("gradients equal central differences", arguments: ConvolutionRow.all)
  func gradients(_ row: ConvolutionRow) {
    for comparison in compareGradients(row.tensors, row.apply) {
      #expect(comparison.error < 5e-4, "\(comparison)")
    }
  }

  @Test("contributions of two uses add up", arguments: ConvolutionRow.all + ConvolutionRow.wide)
  func twoUses(_ row: ConvolutionRow) {
    let gradients = [1, 2].map { uses in
      let tape = Tape()
      let riding = row.tensors.map { tape.ride($0) }
      let results = (0..<uses).map { _ in row.apply(riding) }
      let weights = Philox(seed: 1, stream: .mask).normal(results[0].shape)
      var last = projected(results[0], on: weights)
      for result in results.dropFirst() { last = last + projected(result, on: weights) }
      tape.backward(from: last)
      return riding.map { $0.gradient!.values! }
    }
    for (once, twice) in zip(gradients[0], gradients[1]) {
      #expect(relativeError(twice, once.map { 2 * $0 }) < 1e-6)
    }
  }

  @Test("equal bits run to run", arguments: [1, 2])
  func repeatable(threads: Int) {
    let before = Threads.count
    Threads.use(threads)
    defer { Threads.use(before) }
    let row = ConvolutionRow(batch: 4, height: 16, width: 16, inputs: 32, outputs: 48)
    let runs = (0..<5).map { _ in
      let tape = Tape()
      let riding = row.tensors.map { tape.ride($0) }
      let y = row.apply(riding)
      tape.backward(from: projected(y, on: Philox(seed: 1, stream: .mask).normal(y.shape)))
      return ([y.values] + riding.map { $0.gradient!.values! }).map { $0.map(\.bitPattern) }
    }
    for run in runs.dropFirst() { #expect(run == runs[0]) }
  }

  @Test("no gradient is computed that nobody wants")
  func unwanted() {
    let row = ConvolutionRow()
    let t = row.tensors
    let tape = Tape()
    let weight = tape.ride(t[1])
    let y = row.apply([tape.ride(constant: t[0]), weight, t[2]])
    tape.backward(from: projected(y, on: Philox(seed: 1, stream: .mask).normal(y.shape)))
    #expect(weight.gradient?.values != nil)
    #expect(row.apply(t).tape == nil)
  }

  @Test("of an up-sampled image equals the two operations", arguments: [1, 2, 3, 20])
  func upsampled(_ channels: Int) {
    let row = ConvolutionRow(inputs: channels, outputs: 5)
    let separate: ([Tensor]) -> Tensor = {
      convolution(upsampleNearest2($0[0]), weight: $0[1], bias: $0[2], padding: Padding(1))
    }
    let fused: ([Tensor]) -> Tensor = {
      upsampledConvolution($0[0], weight: $0[1], bias: $0[2])
    }
    let tensors = row.tensors
    #expect(fused(tensors).shape == separate(tensors).shape)
    #expect(relativeError(fused(tensors).values, separate(tensors).values) < 2e-6)
    // Once, and added up over two uses.
    for f in [fused, { fused($0) + fused($0) }] {
      for comparison in compareGradients(tensors, f) {
        #expect(comparison.error < 5e-4, "\(comparison)")
      }
    }
  }

  /// Every pixel of x as a square, summed over its channels in Double.
  @Test("transposed, of stride and side alike, equals its definition", arguments: [1, 2, 4])
  func transposed(_ side: Int) {
    let (height, width, inputs, outputs) = (3, 5, 6, 2)
    let draw = { (index: Int) in Philox(seed: 4, stream: .noise, index: index) }
    let tensors = [
      draw(0).normal([2, height, width, inputs]), draw(1).normal([inputs, outputs, side, side]),
      draw(2).normal([outputs]),
    ]
    var expected: [Float] = []
    for b in 0..<2 {
      for i in 0..<height * side {
        for j in 0..<width * side {
          for o in 0..<outputs {
            let pixel = (b * height + i / side) * width + j / side
            let sum = (0..<inputs).reduce(Double(tensors[2].base[o])) { sum, c in
              let weight = ((c * outputs + o) * side + i % side) * side + j % side
              return sum
                + Double(tensors[0].base[pixel * inputs + c]) * Double(tensors[1].base[weight])
            }
            expected.append(Float(sum))
          }
        }
      }
    }
    let f: ([Tensor]) -> Tensor = {
      transposedConvolution($0[0], weight: $0[1], bias: $0[2])
    }
    let y = f(tensors)
    #expect(y.shape == [2, height * side, width * side, outputs])
    #expect(relativeError(y.values, expected) < 1e-6)
    for f in [f, { f($0) + f($0) }] {
      for comparison in compareGradients(tensors, f) {
        #expect(comparison.error < 5e-4, "\(comparison)")
      }
    }
  }
}
