import Diagnostics
import FlowData
import FlowModels
import FlowTensor
import Testing

@Suite("Inception", .serialized)
struct InceptionTests {
  /// Weights by recipe; small enough to stay finite.
  private static func tensor(_ key: String, _ shape: Shape) -> Tensor {
    let fanIn = Float(shape.count / max(1, shape[0]))
    if shape.rank > 1 { return HashedWeights.tensor(key, shape, .scale((6 / fanIn).squareRoot())) }
    return HashedWeights.tensor(key, shape, key.hasSuffix("running_var") ? .positive : .bias)
  }

  @Test("features by width, of images of any extents")
  func widths() throws {
    let network = try InceptionV3(NamedWeights(drawn: Self.tensor))
    let image = Tensor([1, 20, 31, 3], (0..<1_860).map { Float($0 % 97) / 97 })
    let maps = network.maps(InceptionV3.prepared(image))
    let shapes: [Shape] = [
      [1, 73, 73, 64], [1, 35, 35, 192], [1, 17, 17, 768], [1, 8, 8, 2_048],
    ]
    #expect(maps.map(\.shape) == shapes)
    for features in InceptionV3.Features.allCases {
      let found = network.features(image, features)
      #expect(found.shape == [1, features.rawValue])
    }
    let last = network.features(image)
    #expect((last.values == meanOverPixels(maps[3]).values) as Bool)
    #expect(network.logits(pool: last).shape == [1, 1_008])
  }

  @Test("weights of another network are refused", arguments: [
    ("fc.weight", "shape [1000, 2048]; expected shape [1008, 2048]"),
    ("Conv2d_1a_3x3.bn.running_mean", "missing, the nearest key is Conv2d_2a_3x3.bn.running_mean"),
  ])
  func refused(_ key: String, _ words: String) throws {
    var tensors: [String: Tensor] = [:]
    _ = try InceptionV3(
      NamedWeights { name, shape in
        let value = Tensor(shape, fill: 1)
        tensors[name] = value
        return value
      })
    tensors[key] = key.hasPrefix("fc") ? Tensor([1_000, 2_048], fill: 1) : nil
    let error = #expect(throws: UserError.self) {
      try InceptionV3(NamedWeights(tensors, file: "inception.pth"))
    }
    #expect(error?.status == .badData)
    #expect("\(error!)".contains("inception.pth, tensor \(key): \(words)"), "\(error!)")
  }
}
