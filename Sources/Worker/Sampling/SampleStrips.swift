import Diagnostics
import FlowComm
import FlowCore
import FlowData
import FlowTensor

/// One row of an interpolation between two samples.
public struct InterpolationRow: Sendable {
  public let ends: (Int, Int)
  public let labels: (Int?, Int?)
  public let frames: [ImageBuffer]
}

/// The way of one sample from noise to data.
public struct TrajectoryRow: Sendable {
  public let index: Int
  public let label: Int?
  /// The decoded states.
  public let states: [ImageBuffer]
  /// What the velocity says the data will be, decoded.
  public let predictions: [ImageBuffer]
}

extension Sampler {
  /// Collective: samples whose noise lies on the arc between that of two samples, for each pair.
  /// Between samples of two labels the velocity goes over linearly from one label's to the
  /// other's: (1 − w)·v(x, t | A) + w·v(x, t | B).
  ///
  /// - Parameter frames: pictures of a row, the two samples' own among them
  /// - Returns: rows on rank 0, nil elsewhere
  public func interpolations(
    _ pairs: [(Int, Int)], frames: Int, _ communicator: any Communicator
  ) throws -> [InterpolationRow]? {
    let weights = (0..<frames).map { Double($0) / Double(frames - 1) }
    var rows = [InterpolationRow?](repeating: nil, count: pairs.count)
    try WorkQueue(communicator).run(count: pairs.count) { k in
      packed(try interpolation(pairs[k], weights))
    } deliver: { k, bytes in
      rows[k] = InterpolationRow(
        ends: pairs[k], labels: (label(pairs[k].0), label(pairs[k].1)),
        frames: unpacked(bytes))
    }
    return communicator.rank == 0 ? rows.compactMap(\.self) : nil
  }

  /// Pixels of a row, [frames, H, W, 3].
  private func interpolation(_ pair: (Int, Int), _ weights: [Double]) throws -> Tensor {
    let ends = [noise(of: pair.0), noise(of: pair.1)]
    let start = sphericalInterpolation(ends[0], ends[1], weights: weights)
    let fields = [label(pair.0), label(pair.1)].map { label in
      velocity(Condition(labels: label.map { Array(repeating: $0, count: weights.count) }))
    }
    let isOneLabel = label(pair.0) == label(pair.1)
    let shares = weights.flatMap { [Float(1 - $0), Float($0)] }
    let latents = try solved("samples \(pair.0) to \(pair.1)") {
      try plan.solver.sample(
        from: start, along: plan.path, draws: { churn(pair.0, $0, count: weights.count) }
      ) { x, t in
        if isOneLabel { return fields[0](x, t) }
        return linearCombination([fields[0](x, t), fields[1](x, t)], coefficients: shares)
      }
    }.final
    return firstStage.decode((1 / plan.scale) * latents)
  }

  /// Collective: states of samples at `times`, which begin and end as sampling does, and the data
  /// that the velocity predicts there.
  ///
  /// - Returns: rows on rank 0, nil elsewhere
  /// - Throws: `UserError` of status `usage` where the solver has no states but the last
  public func trajectories(
    _ indices: [Int], times: [Double], _ communicator: any Communicator
  ) throws -> [TrajectoryRow]? {
    guard let solver = plan.solver as? any ODESolver else {
      throw UserError(
        .usage, "--trajectory", found: "solver \(plan.solver)",
        expected: "a solver of the ODE: Runge–Kutta or Adams–Bashforth, without --sde")
    }
    var rows = [TrajectoryRow?](repeating: nil, count: indices.count)
    try WorkQueue(communicator).run(count: indices.count) { k in
      packed(try trajectory(indices[k], times, solver))
    } deliver: { k, bytes in
      let images = unpacked(bytes)
      rows[k] = TrajectoryRow(
        index: indices[k], label: label(indices[k]), states: Array(images[..<times.count]),
        predictions: Array(images[times.count...]))
    }
    return communicator.rank == 0 ? rows.compactMap(\.self) : nil
  }

  /// Pixels of the states, then of the predictions, [2·times, H, W, 3].
  private func trajectory(
    _ index: Int, _ times: [Double], _ solver: any ODESolver
  ) throws -> Tensor {
    let field = velocity(Condition(labels: label(index).map { [$0] }))
    let start = noise(of: index)
    let first = start.reshaped(Shape([1] + start.shape.dims))
    let states = try solved("sample \(index)") {
      try solver.integrate(from: first, through: times) { x, t in field(x, t) }
    }.states
    let latents = Tensor(uninitialized: Shape([2 * times.count] + start.shape.dims))
    for (k, (time, state)) in zip(times, states).enumerated() {
      let v = field(state, Tensor([1], [Float(time)]))
      let data = plan.path.schedule(at: time).dataFromVelocity
      let prediction = linearCombination(
        [v, state], coefficients: [Float(data.velocity), Float(data.state)])
      for (place, latent) in [(k, state), (times.count + k, prediction)] {
        (latents.base + place * start.count).update(from: latent.base, count: start.count)
      }
    }
    return firstStage.decode((1 / plan.scale) * latents)
  }

  private func label(_ index: Int) -> Int? { plan.labels.label(seed: plan.seed, index: index) }

  /// [h, w, C]
  private func noise(of index: Int) -> Tensor {
    Philox(seed: plan.seed, stream: .sampleNoise, index: index)
      .normal(Shape(network.specification.latentShape))
  }

  /// Fresh noise of a step, one draw for all frames: neighbours must not differ by it.
  private func churn(_ index: Int, _ step: Int, count: Int) -> Tensor {
    let shape = network.specification.latentShape
    let one = Philox(seed: plan.seed, stream: .churn, step: step, index: index)
      .normal(Shape(shape))
    let all = Tensor(uninitialized: Shape([count] + shape))
    for k in 0..<count { (all.base + k * one.count).update(from: one.base, count: one.count) }
    return all
  }

  /// The field of the plan under a condition, guided or not.
  private func velocity(_ condition: Condition) -> (Tensor, Tensor) -> Tensor {
    guard plan.guidance != 1, let null = network.specification.nullLabel else {
      return { [network] x, t in network(x, t: t, condition: condition) }
    }
    let guided = GuidedField(
      network, scale: plan.guidance, nullLabel: null, interval: plan.guidanceInterval)
    return { x, t in guided(x, t: t, condition: condition) }
  }

  private func solved(_ subject: String, _ body: () throws -> Trajectory) throws -> Trajectory {
    do {
      return try body()
    } catch let failure as SolverFailure {
      throw UserError(
        .badData, subject, found: "\(failure)",
        advice: "look at the weights with `latentflow inspect`, or choose a fixed-step solver")
    }
  }

  /// Height and width, then levels of all pictures.
  private func packed(_ pixels: Tensor) -> [UInt8] {
    let extents = [Int32(pixels.shape[1]), Int32(pixels.shape[2])]
    let levels = (0..<pixels.shape[0]).flatMap { ImageBuffer(pixels, index: $0).pixels }
    return extents.withUnsafeBytes { Array($0) } + levels
  }

  private func unpacked(_ bytes: [UInt8]) -> [ImageBuffer] {
    func extent(_ i: Int) -> Int {
      Int(bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 4 * i, as: Int32.self) })
    }
    let (height, width) = (extent(0), extent(1))
    let size = height * width * 3
    return stride(from: 8, to: bytes.count, by: size).map {
      ImageBuffer(width: width, height: height, pixels: Array(bytes[$0..<$0 + size]))
    }
  }
}
