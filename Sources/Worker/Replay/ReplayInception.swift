import Diagnostics
import FlowData
import FlowModels
import FlowTensor

/// Replays a case of FID's Inception network (`F_*`): the resized image, the maps of its blocks,
/// the pooled features and the logits.
///
/// - Returns: one row per output.
/// - Throws: `UserError` of status `badData` if weights do not fit the network.
public func replayInceptionCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  let network = try InceptionV3(NamedWeights(c.weights(), file: c.file.path))
  return try c.names(.inputs).flatMap { name in
    let bytes = try c.input(name)  // [B, H, W, 3] in 0 … 255
    let x = InceptionV3.prepared((1 / 255) * bytes)  // [B, 299, 299, 3]
    let maps = network.maps(x)
    let pool = meanOverPixels(maps[3])
    var rows = [
      try c.row("\(name).resized_sample", sampled(nchw(x).values, every: 997)),
      try c.row("\(name).features", pool.values),
      try c.row("\(name).logits", network.logits(pool: pool).values),
    ]
    for (index, map) in maps.dropLast().enumerated() {
      let values = nchw(map).values
      let stride = smallestOddPrime(from: values.count / 256 | 1)
      rows.append(try c.row("\(name).block\(index).sample", sampled(values, every: stride)))
      rows.append(try c.row("\(name).block\(index).mean_std", meanAndDeviation(values)))
    }
    return rows.compactMap { $0 }
  }
}

private func sampled(_ values: [Float], every step: Int) -> [Float] {
  stride(from: 0, to: values.count, by: step).map { values[$0] }
}

private func smallestOddPrime(from start: Int) -> Int {
  var candidate = max(3, start)
  while stride(from: 3, through: Int(Double(candidate).squareRoot()), by: 2)
    .contains(where: { candidate % $0 == 0 })
  { candidate += 2 }
  return candidate
}

private func meanAndDeviation(_ values: [Float]) -> [Double] {
  let n = Double(values.count)
  let mean = values.reduce(0.0) { $0 + Double($1) } / n
  let squares = values.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
  return [mean, (squares / (n - 1)).squareRoot()]
}
