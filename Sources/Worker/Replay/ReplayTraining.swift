import Diagnostics
import FlowData
import FlowNN
import FlowTensor

/// Replays a case of the training loop (`J_*`): optimisers, running averages, learning rates.
public func replayTrainingCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  switch c.header["kind"] {
  case "optim": return try replayOptimizers(c)
  case "ema_lfm": return try replayConstantAverage(c)
  case "ema_fmb": return try replayPowerLawAverage(c)
  case "lr": return try replaySchedules(c)
  case let kind:
    throw UserError(
      .badData, c.file.path, at: "header entry kind", found: kind ?? "missing",
      expected: "optim, ema_lfm, ema_fmb or lr")
  }
}

/// The parameters of a case in one arena, with everything an optimiser keeps of them.
private struct Arena {
  let names: [String]
  let shapes: [Shape]
  var segments: [Segment]
  let values, gradients, first, second, average: Tensor

  var count: Int { values.count }

  init(_ c: ReferenceCase) throws {
    names = c.names(.weights)
    let weights = try names.map { try c.tensor(.weights, $0) }
    shapes = weights.map(\.shape)
    var end = 0
    segments = weights.map { weight in
      defer { end += weight.count }
      return Segment(range: end..<end + weight.count)
    }
    values = Tensor([end], weights.flatMap(\.values))
    gradients = Tensor([end], fill: 0)
    first = Tensor([end], fill: 0)
    second = Tensor([end], fill: 0)
    average = values.copy()
  }

  /// Row `step` of `inputs.PREFIXname` for every parameter into `target`.
  func load(_ rows: [Tensor], step: Int, into target: Tensor) {
    for (segment, row) in zip(segments, rows) {
      (target.base + segment.range.lowerBound)
        .update(from: row.base + step * segment.range.count, count: segment.range.count)
    }
  }

  func elements(_ i: Int, of x: Tensor) -> [Float] {
    Array(
      UnsafeBufferPointer(
        start: x.base + segments[i].range.lowerBound, count: segments[i].range.count))
  }

  mutating func step(
    _ optimizer: AdamW, rate: Double, scale: Double = 1, averaging: AverageAction = .none
  ) {
    optimizer.update(
      values: values.base, gradients: gradients.base, firstMoment: first.base,
      secondMoment: second.base, average: average.base, segments: &segments, shard: 0..<count,
      learningRate: rate, gradientScale: scale, averaging: averaging)
  }
}

private struct MissingEntry {
  let c: ReferenceCase

  func callAsFunction<T>(_ value: T?, _ name: String) throws -> T {
    if let value { return value }
    throw UserError(.badData, c.file.path, at: "header entry config", found: "no usable \(name)")
  }
}

private func replayOptimizers(_ c: ReferenceCase) throws -> [ReplayRow] {
  let required = MissingEntry(c: c)
  let steps = try required(c.config["steps"]?.int, "steps")
  var rows: [ReplayRow?] = []
  for run in try required(c.config["runs"]?.array, "runs") {
    let tag = try required(run["tag"]?.string, "tag")
    let rate = try required(run["args"]?["lr"]?.double, "lr")
    let optimizer = AdamW(configuration(run))
    var arena = try Arena(c)
    let gradients = try arena.names.map { try c.input("grad.\($0)") }
    var history = arena.names.map { _ in [Float]() }
    var norms: [Double] = []
    for step in 0..<steps {
      arena.load(gradients, step: step, into: arena.gradients)
      let sums = chunkSquareSums(arena.gradients.base, count: arena.count)
      let norm = sums.reduce(0, +).squareRoot()
      norms.append(norm)
      let scale = run["clip"]?.double.map { clipCoefficient(norm: norm, maximum: $0) } ?? 1
      arena.step(optimizer, rate: rate, scale: scale)
      for i in history.indices { history[i] += arena.elements(i, of: arena.values) }
    }
    for (name, values) in zip(arena.names, history) {
      rows.append(try c.row("\(tag).\(name)", values))
    }
    rows.append(try c.row("\(tag).exp_avg", arena.elements(0, of: arena.first)))
    rows.append(try c.row("\(tag).exp_avg_sq", arena.elements(0, of: arena.second)))
    if run["clip"] != nil { rows.append(try c.row("\(tag).grad_norms", norms)) }
  }
  return rows.compactMap { $0 }
}

/// torch.optim.Adam's or AdamW's arguments; what is not given has torch's default.
private func configuration(_ run: JSONValue) -> AdamW.Configuration {
  let arguments = run["args"]
  var result = AdamW.Configuration()
  result.beta1 = arguments?["betas"]?[0]?.double ?? 0.9
  result.beta2 = arguments?["betas"]?[1]?.double ?? 0.999
  result.epsilon = arguments?["eps"]?.double ?? 1e-8
  if run["opt"]?.string == "adam" {
    result.weightDecay = .l2(arguments?["weight_decay"]?.double ?? 0)
  } else {
    result.weightDecay = .decoupled(arguments?["weight_decay"]?.double ?? 0.01)
  }
  return result
}

private func replayConstantAverage(_ c: ReferenceCase) throws -> [ReplayRow] {
  let required = MissingEntry(c: c)
  let steps = try required(c.config["steps"]?.int, "steps")
  let rate = try required(c.config["lr"]?.double, "lr")
  let decay = try required(c.config["weight_decay"]?.double, "weight_decay")
  let schedule = AverageSchedule.constant(
    decay: try required(c.config["ema_decay"]?.double, "ema_decay"))
  let without = c.config["no_grad"]?.array?.compactMap(\.string) ?? []
  let optimizer = AdamW(AdamW.Configuration(weightDecay: .decoupled(decay)))
  var arena = try Arena(c)
  let gradients = try arena.names.map { try c.input("grad.\($0)") }
  var values = arena.names.map { _ in [Float]() }
  var averages = values
  for step in 0..<steps {
    for (i, name) in arena.names.enumerated() {
      let begin = c.config["no_grad_before"]?[name]?.int ?? 0
      arena.segments[i].hasGradient = !without.contains(name) && step >= begin
    }
    arena.load(gradients, step: step, into: arena.gradients)
    arena.step(optimizer, rate: rate, averaging: schedule.action(call: step))
    for i in values.indices {
      values[i] += arena.elements(i, of: arena.values)
      // −999 marks steps before the average exists.
      averages[i] += arena.elements(i, of: arena.average)
        .map { arena.segments[i].hasAverage ? $0 : -999 }
    }
  }
  return try arena.names.enumerated().flatMap { i, name in
    let sampled = arena.segments[i].hasAverage ? arena.average : arena.values
    return [
      try c.row("param.\(name)", values[i]),
      try c.row("ema.\(name)", averages[i]),
      try c.row("after_swap.\(name)", arena.elements(i, of: sampled)),
    ].compactMap { $0 }
  }
}

private func replayPowerLawAverage(_ c: ReferenceCase) throws -> [ReplayRow] {
  let required = MissingEntry(c: c)
  let steps = try required(c.config["steps"]?.int, "steps")
  var rows: [ReplayRow?] = []
  for run in try required(c.config["runs"]?.array, "runs") {
    let tag = try required(run["tag"]?.string, "tag")
    let schedule = powerLaw(run["args"])
    let arena = try Arena(c)
    let online = try arena.names.map { try c.input($0) }
    var history = arena.names.map { _ in [Float]() }
    for call in 0..<steps {
      arena.load(online, step: call, into: arena.values)
      updateAverage(
        arena.average.base, of: arena.values.base, count: arena.count, schedule.action(call: call))
      for i in history.indices { history[i] += arena.elements(i, of: arena.average) }
    }
    for (name, values) in zip(arena.names, history) {
      rows.append(try c.row("\(tag).\(name)", values))
    }
    rows.append(try c.row("\(tag).decay", (1...steps).map { schedule.decay(calls: $0) }))
    rows.append(
      try c.row(
        exactly: "\(tag).initted", (1...steps).map { schedule.hasBegun(calls: $0) ? 1 : 0 }))
  }
  return rows.compactMap { $0 }
}

/// FMBoost's arguments of its average; what is not given has its default, or `power`.
func powerLaw(_ arguments: JSONValue?, power: Double = 2 / 3) -> PowerLawAverage {
  var result = PowerLawAverage(power: power)
  if let beta = arguments?["beta"]?.double { result.beta = beta }
  if let after = arguments?["update_after_step"]?.int { result.updateAfterStep = after }
  if let every = arguments?["update_every"]?.int { result.updateEvery = every }
  if let inverseGamma = arguments?["inv_gamma"]?.double { result.inverseGamma = inverseGamma }
  if let power = arguments?["power"]?.double { result.power = power }
  if let minimum = arguments?["min_value"]?.double { result.minimum = minimum }
  return result
}

private func replaySchedules(_ c: ReferenceCase) throws -> [ReplayRow] {
  let required = MissingEntry(c: c)
  return try required(c.config["runs"]?.array, "runs").compactMap { run in
    let tag = try required(run["tag"]?.string, "tag")
    let warmup = run["num_warmup_steps"]?.int
    let schedule: LearningRateSchedule
    switch run["schedule"]?.string {
    case "cosine_annealing":
      schedule = .cosineAnnealing(
        period: try required(run["T_max"]?.int, "T_max"),
        floor: try required(run["eta_min"]?.double, "eta_min"))
    case "constant_with_warmup":
      schedule = .constantWithWarmup(steps: try required(warmup, "num_warmup_steps"))
    case "cosine_with_warmup":
      schedule = .cosineWithWarmup(
        steps: try required(warmup, "num_warmup_steps"),
        total: try required(run["num_training_steps"]?.int, "num_training_steps"),
        cycles: try required(run["num_cycles"]?.double, "num_cycles"))
    case let other:
      throw UserError(
        .badData, c.file.path, at: "run \(tag)", found: "schedule \(other ?? "missing")")
    }
    let base = try required(run["lr"]?.double, "lr")
    let rates = (0..<(try required(run["steps"]?.int, "steps"))).map {
      schedule.rate(step: $0, base: base)
    }
    return try c.row(tag, rates, unstated: 1e-12)
  }
}
