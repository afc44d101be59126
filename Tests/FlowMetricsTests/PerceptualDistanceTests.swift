import Diagnostics
import FlowData
import FlowMetrics
import FlowModels
import FlowTensor
import Testing

/// Against PyTorch's convolutions in float64, with weights by recipe.
@Suite("Perceptual distance", .serialized)
struct PerceptualDistanceTests {
  private static func tensor(_ key: String, _ shape: Shape) -> Tensor {
    if key.hasPrefix("lin") {
      let u = HashedWeights.tensor(key, shape, .scale(0.5))
      return Tensor(shape, u.values.map { 0.5 + $0 })
    }
    let fanIn = Float(shape.count / shape[0])
    return HashedWeights.tensor(
      key, shape, shape.rank == 1 ? .bias : .scale((6 / fanIn).squareRoot()))
  }

  private func images(side: Int, _ a: Int) -> Tensor {
    Tensor(
      [2, side, side, 3],
      (0..<2 * side * side * 3).map { i in
        (Float(i * (13 + a) % 47) + Float(i / 7 % 31)) / 38 - 1
      })
  }

  @Test("equals PyTorch's", arguments: [
    (PerceptualNetwork.Backbone.alex, 64, [0.7139469266210918, 0.7025100487004688]),
    (.vgg, 32, [0.6964246258595632, 0.7070473979727228]),
  ])
  func values(_ backbone: PerceptualNetwork.Backbone, _ side: Int, _ expected: [Double]) throws {
    let weights = NamedWeights(drawn: Self.tensor)
    let network = try PerceptualNetwork(backbone, weights: weights, linear: weights)
    let found = perceptualDistances(
      network.maps(images(side: side, 0)), network.maps(images(side: side, 4)),
      weights: network.channelWeights)
    for (value, reference) in zip(found, expected) {
      #expect(relative(value, reference) < 2e-5, "\(value), expected \(reference)")
    }
  }

  @Test("a whole LPIPS and its parts hold the same network under other keys")
  func keys() throws {
    let places = [(1, 0, 64, 3, 11), (2, 3, 192, 64, 5), (3, 6, 384, 192, 3), (4, 8, 256, 384, 3),
      (5, 10, 256, 256, 3)]
    var (parts, whole): ([String: Tensor], [String: Tensor]) = ([:], [:])
    for (slice, index, outputs, inputs, kernel) in places {
      let shapes: [(String, Shape)] = [
        ("weight", [outputs, inputs, kernel, kernel]), ("bias", [outputs]),
      ]
      for (name, shape) in shapes {
        let value = Self.tensor("features.\(index).\(name)", shape)
        parts["features.\(index).\(name)"] = value
        whole["net.slice\(slice).\(index).\(name)"] = value
      }
      let line = "lin\(slice - 1).model.1.weight"
      whole[line] = Self.tensor(line, [1, outputs, 1, 1])
    }
    let linear = NamedWeights(drawn: Self.tensor)
    let a = try PerceptualNetwork(
      .alex, weights: NamedWeights(parts, file: "alexnet.pth"), linear: linear)
    let lpips = NamedWeights(whole, file: "lpips.pth")
    let b = try PerceptualNetwork(.alex, weights: lpips, linear: lpips)
    let x = images(side: 64, 0)
    #expect((a.maps(x)[4].values == b.maps(x)[4].values) as Bool)

    parts["features.8.bias"] = nil
    let error = #expect(throws: UserError.self) {
      try PerceptualNetwork(
        .alex, weights: NamedWeights(parts, file: "alexnet.pth"), linear: linear)
    }
    #expect("\(error!)".contains("alexnet.pth, tensor features.8.bias: missing"), "\(error!)")
  }
}
