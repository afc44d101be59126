import Diagnostics
import FlowData
import FlowModels
import FlowNN
import FlowTensor

/// Replays the case of the semantic condition: the rescaled map, and the gradient of
/// mean((cond − target)²) with respect to the map of its channels.
///
/// - Throws: `UserError` of status `badData` if the case is not one of a rescaler.
func replayRescalerCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  func count(_ key: String, _ range: ClosedRange<Int>) throws -> Int {
    guard let value = c.config[key]?.int, range.contains(value) else {
      throw UserError(
        .badData, c.file.path, at: "header entry config", found: "no usable \(key)",
        expected: "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }
  guard c.config["multiplier"]?.double == 0.5 else {
    throw UserError(
      .badData, c.file.path, at: "header entry config", found: "no multiplier of 0.5",
      expected: "a rescaler that halves")
  }
  let store = ParameterStore()
  let rescaler = SpatialRescaler(
    SpatialRescaler.Configuration(
      stages: try count("n_stages", 0...8), inChannels: try count("in_channels", 1...4096),
      outChannels: try count("out_channels", 1...4096)), store.scope)
  store.allocate(training: true)
  try c.load(c.weights(), into: store)

  let extents = try c.shape(.inputs, "segmentation")  // [B, H, W]
  let map = try c.ints(.inputs, "segmentation")
  let (factor, classes) = (rescaler.configuration.factor, rescaler.configuration.inChannels)
  guard extents.rank == 3, extents.dims.allSatisfy({ $0 > 0 }), extents[1] % factor == 0,
    extents[2] % factor == 0, map.allSatisfy({ (0..<classes).contains($0) })
  else {
    throw UserError(
      .badData, c.file.path, at: "tensor inputs.segmentation", found: "shape \(extents)",
      expected: "[B, H, W], H and W multiples of \(factor), classes below \(classes)")
  }
  let shares = rescaler.classShares(of: map, height: extents[1], width: extents[2])
  let condition = rescaler(Tape().ride(constant: shares))
  let loss = meanSquaredError(condition, nhwc(try c.input("target")))
  let rows = [
    try c.row("cond", nchw(condition).values), try c.row("loss", [loss.item]),
  ]
  store.resetGradients()
  condition.tape!.backward(from: loss)
  store.settleGradients()
  return rows.compactMap { $0 } + (try c.gradientRows { store[$0]?.gradient?.values })
}
