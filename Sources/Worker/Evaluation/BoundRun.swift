import FlowComm
import FlowCore
import FlowData
import FlowMetrics
import FlowTensor

/// Measures on real pictures what the bound on a latent flow's Wasserstein distance is made of.
///
/// The velocity that the data define is not known. ‖u − v̂‖² for the velocity u of single pairs of
/// picture and noise, which training minimises, is in the mean at least ‖v − v̂‖², for v is the
/// mean of u at a point: the bound stays one, and is larger than it need be.
public struct BoundRun {
  public struct Settings: Sendable {
    public var seed: UInt64
    /// Stretches of time, of equal length.
    public var stretches: Int
    /// Pictures at which stretching is measured; all of them tell the errors.
    public var points: Int
    public var norm: JacobianNorm

    public init(seed: UInt64, stretches: Int, points: Int, norm: JacobianNorm) {
      (self.seed, self.stretches, self.points, self.norm) = (seed, stretches, points, norm)
    }
  }

  /// Pictures of one work item.
  static let itemSize = 8

  let network: Network
  let firstStage: FirstStage
  let path: any ProbabilityPath
  let scale: Float
  let settings: Settings

  public init(
    _ network: Network, _ firstStage: FirstStage, path: any ProbabilityPath, scale: Float,
    _ settings: Settings
  ) {
    (self.network, self.firstStage, self.path) = (network, firstStage, path)
    (self.scale, self.settings) = (scale, settings)
  }

  /// Collective: the bound on rank 0, nil elsewhere.
  ///
  /// - Parameters:
  ///   - source: pictures of the size that the model makes, with labels if it takes them
  ///   - count: pictures to use
  ///   - progress: on rank 0, after each item, with the pictures done
  public func run(
    _ source: any ImageSource, count: Int, _ communicator: any Communicator,
    progress: (Int) -> Void
  ) throws -> WassersteinBound? {
    let items = (count + Self.itemSize - 1) / Self.itemSize
    var found = [[Double]](repeating: [], count: items)
    var done = 0
    try WorkQueue(communicator).run(count: items) { k in
      let first = k * Self.itemSize
      let numbers = try measure(source, first..<min(first + Self.itemSize, count)).numbers
      return numbers.withUnsafeBytes { Array($0) }
    } deliver: { k, bytes in
      found[k] = bytes.withUnsafeBytes { raw in
        (0..<raw.count / 8).map { raw.loadUnaligned(fromByteOffset: 8 * $0, as: Double.self) }
      }
      done = min(count, done + Self.itemSize)
      progress(done)
    }
    guard communicator.rank == 0 else { return nil }
    return bound(found.map { Measured(numbers: $0, stretches: settings.stretches) }, count)
  }

  private func bound(_ items: [Measured], _ count: Int) -> WassersteinBound {
    let n = Double(count)
    let stretches = (0..<settings.stretches).map { j in
      WassersteinBound.Stretch(
        length: 1 / Double(settings.stretches),
        velocityError: items.reduce(0) { $0 + $1.velocityErrors[j] } / n,
        lipschitz: items.map { $0.velocityNorms[j] }.max() ?? 0)
    }
    return WassersteinBound(
      reconstruction: items.reduce(0) { $0 + $1.reconstruction } / n,
      decoderLipschitz: items.map(\.decoderNorm).max() ?? 0,
      stretches: path.direction == .dataToNoise ? stretches.reversed() : stretches)
  }

  // MARK: - One item

  private func measure(_ source: any ImageSource, _ rows: Range<Int>) throws -> Measured {
    let pixels = tensor(of: try rows.map { try source.image($0) })  // [b, H, W, 3]
    let labels = network.specification.classes > 0 ? rows.map { source.label($0) ?? 0 } : nil
    let z = firstStage.encode(pixels).mean  // [b, h, w, C]
    let data = scale * z
    let chosen = rows.prefix(max(0, settings.points - rows.lowerBound))
    var result = Measured(stretches: settings.stretches)
    result.reconstruction = squaredDifferences(pixels, firstStage.decode(z)).reduce(0, +)
    if !chosen.isEmpty {
      result.decoderNorm = decoderNorm(at: data.slice(0..<chosen.count), chosen)
    }
    for j in 0..<settings.stretches {
      let point = self.point(data, rows, stretch: j)
      let condition = Condition(labels: labels)
      let v = network(point.xt, t: point.t, condition: condition)
      result.velocityErrors[j] = squaredDifferences(v, point.velocity).reduce(0, +)
      guard !chosen.isEmpty else { continue }
      let xt = point.xt.slice(0..<chosen.count)
      let t = point.t.slice(0..<chosen.count)
      let some = Condition(labels: labels.map { Array($0.prefix(chosen.count)) })
      let norms = settings.norm(at: xt, start: draw(.mask, j, chosen, like: xt)) { x in
        network(x, t: t, condition: some)
      }
      result.velocityNorms[j] = norms.max() ?? 0
    }
    return result
  }

  private func decoderNorm(at data: Tensor, _ rows: Range<Int>) -> Double {
    if firstStage.isIdentity { return 1 / Double(scale) }
    let norms = settings.norm(at: data, start: draw(.crop, 0, rows, like: data)) { z in
      firstStage.decode((1 / scale) * z)
    }
    return norms.max() ?? 0
  }

  /// A point of the path for each picture, its time drawn inside stretch `j`.
  private func point(_ data: Tensor, _ rows: Range<Int>, stretch j: Int) -> PathSample {
    let noise = draw(.noise, j, rows, like: data)
    let t = rows.map { index in
      let inside = Philox(seed: settings.seed, stream: .time, step: j, index: index).uniform()
      return (Float(j) + inside) / Float(settings.stretches)
    }
    let towardsData = path.direction == .sourceToData
    return path.sample(
      x0: towardsData ? noise : data, x1: towardsData ? data : noise,
      t: Tensor([rows.count], t), smoothing: draw(.churn, j, rows, like: data))
  }

  /// Normal draws of the shape of `x`, a function of the pictures' indices.
  private func draw(
    _ stream: RandomStream, _ step: Int, _ rows: Range<Int>, like x: Tensor
  ) -> Tensor {
    let result = Tensor(uninitialized: x.shape)
    let row = x.count / rows.count
    for (i, index) in rows.enumerated() {
      Philox(seed: settings.seed, stream: stream, step: step, index: index)
        .fillNormal(result.base + i * row, count: row)
    }
    return result
  }

  /// ‖a − b‖² of each sample.
  private func squaredDifferences(_ a: Tensor, _ b: Tensor) -> [Double] {
    let row = a.count / a.shape[0]
    return (0..<a.shape[0]).map { sample in
      var sum = 0.0
      for i in sample * row..<(sample + 1) * row {
        let difference = Double(a.base[i]) - Double(b.base[i])
        sum += difference * difference
      }
      return sum
    }
  }
}

/// Sums and maxima over the pictures of one item.
private struct Measured {
  var reconstruction = 0.0
  var decoderNorm = 0.0
  /// By stretch of t.
  var velocityErrors: [Double]
  var velocityNorms: [Double]

  init(stretches: Int) {
    velocityErrors = Array(repeating: 0, count: stretches)
    velocityNorms = velocityErrors
  }

  init(numbers: [Double], stretches: Int) {
    (reconstruction, decoderNorm) = (numbers[0], numbers[1])
    velocityErrors = Array(numbers[2..<2 + stretches])
    velocityNorms = Array(numbers[(2 + stretches)...])
  }

  var numbers: [Double] { [reconstruction, decoderNorm] + velocityErrors + velocityNorms }
}
