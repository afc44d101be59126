import Diagnostics
import FlowCore
import FlowData
import FlowModels
import FlowNN
import FlowTensor

/// Replays a case of a velocity network: the velocity, with and without labels, guided, and the
/// gradients of mean((out − target)²).
///
/// - Returns: one row per output and input gradient, and the worst parameter gradient.
/// - Throws: `UserError` of status `badData` if the case is not one of a network that is built.
public func replayNetworkCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  let network = try c.network(c.config, training: true)
  let store = network.store
  let labels = c.contains(.inputs, "y") ? try c.ints(.inputs, "y") : nil
  let input = nhwc(try c.input("x"))  // [B, H, W, C]
  let t = try c.input("t")  // [B]

  let tape = Tape()
  let x = tape.ride(input)
  let context =
    c.contains(.inputs, "context") ? tape.ride(channelsLast(try c.input("context"))) : nil
  let condition = Condition(labels: labels, context: context)
  let out = network(x, t: t, condition: condition)
  let loss = meanSquaredError(out, nhwc(try c.input("target")))
  var rows =
    [try c.row("out", nchw(out).values), try c.row("loss", [loss.item])]
    + (try variants(of: network, c, input, t, condition))

  store.resetGradients()
  tape.backward(from: loss)
  store.settleGradients()
  for (name, input) in [("x", x), ("context", context)] {
    guard let input, case .relativeL2(let bound) = c.tolerance(.inputGradients, name) else {
      continue
    }
    let gradient = Tensor(input.shape, input.gradient?.values ?? [])
    let found = input.shape.rank == 4 ? nchw(gradient) : gradient
    let error = relativeL2(found: found, expected: try c.doubles(.inputGradients, name))
    rows.append(ReplayRow(name: "grad_inputs.\(name)", error: error, tolerance: bound))
  }
  return rows.compactMap { $0 } + (try c.gradientRows { store[$0]?.gradient?.values })
}

/// [B, C, H, W] → [B, H, W, C]; tokens, [B, S, D], as they are.
private func channelsLast(_ x: Tensor) -> Tensor { x.shape.rank == 4 ? nhwc(x) : x }

/// The same network asked in other ways, for the outputs that the case holds.
private func variants(
  of network: Network, _ c: ReferenceCase, _ x: Tensor, _ t: Tensor, _ condition: Condition
) throws -> [ReplayRow?] {
  var rows: [ReplayRow?] = []
  if c.contains(.outputs, "out_no_label") {
    rows.append(try c.row("out_no_label", nchw(network(x, t: t, condition: .none)).values))
  }
  if c.contains(.outputs, "out_scalar_t") {
    let out = network(x, t: t.slice(0..<1), condition: condition)
    rows.append(try c.row("out_scalar_t", nchw(out).values))
  }
  if let scale = c.config["run"]?["cfg_scale"]?.double {
    var halves = condition
    if let labels = condition.labels, network.specification.dropsSecondHalf {
      let half = labels.count / 2
      let nulls = Array(repeating: network.specification.nullLabel!, count: half)
      halves.labels = labels.prefix(half) + nulls
    }
    let out = guided(network(firstHalfTwice(x), t: t, condition: halves), c, Float(scale))
    rows.append(try c.row("cfg_out", nchw(out).values))
  }
  if c.contains(.outputs, "label_emb_dropped"), let labels = condition.labels,
    let null = network.specification.nullLabel
  {
    let dropped = zip(labels, try c.ints(.inputs, "drop_ids")).map { $1 == 1 ? null : $0 }
    let table = network.store["y_embedder.embedding_table.weight"]!.tensor.detached
    rows.append(try c.row("label_emb_dropped", embedding(table, dropped, riding: x).values))
  }
  return rows
}

/// [2b, …] → [2b, …], the second half replaced by the first.
private func firstHalfTwice(_ x: Tensor) -> Tensor {
  let result = x.copy()
  (result.base + x.count / 2).update(from: x.base, count: x.count / 2)
  return result
}

/// LFM's guided output over a batch [conditional; null]: both halves become u + s·(c − u) in the
/// first `in_channels` channels; others, a learned sigma, stay as they are.
private func guided(_ out: Tensor, _ c: ReferenceCase, _ scale: Float) -> Tensor {
  let channels = out.shape[3]
  let guidedChannels = c.config["in_channels"]?.int ?? channels
  let result = out.copy()
  let half = out.count / 2
  for i in 0..<half where i % channels < guidedChannels {
    let (conditional, null) = (out.base[i], out.base[half + i])
    result.base[i] = null + scale * (conditional - null)
    result.base[half + i] = result.base[i]
  }
  return result
}

extension ReferenceCase {
  /// A velocity network with its weights.
  ///
  /// - Parameters:
  ///   - config: the reference's constructor arguments, `class` among them.
  ///   - part: which network of the case it is, in a case with several.
  func network(_ config: JSONValue, part: String? = nil, training: Bool) throws -> Network {
    guard let specification = try NetworkSpecification(reference: config, file.path) else {
      throw UserError(
        .badData, file.path, at: "header entry config",
        found: "class \(config["class"]?.string ?? "missing")", expected: "a network that is built")
    }
    return try network(specification, part: part, training: training)
  }

  /// The network of a specification that the case does not spell out by its class.
  func network(
    _ specification: NetworkSpecification, part: String? = nil, training: Bool
  ) throws -> Network {
    let network = Network(specification)
    network.store.allocate(training: training)
    network.store.initialize(seed: 0)  // the position embedding; weights are then replaced
    try load(weights(of: part), into: network.store)
    return network
  }
}

extension NetworkSpecification {
  /// From a reference's constructor arguments; nil for a class that is not built.
  init?(reference config: JSONValue, _ path: String) throws {
    switch config["class"]?.string {
    case "LFM.DiT", "LFM.DiT_models": self = .dit(try DiT.Configuration(config, path))
    case "LFM.get_edm_network": try self.init(edm: config, path)
    case "fmboost.EfficientUNet": self = .efficient(try EfficientUNet.Configuration(config, path))
    case "LFM.UNetModel": self = .adm(try ADMUNet.Configuration(config, path))
    case "LFM.UNetModelAttn": self = .layout(try LayoutUNet.Configuration(config, path))
    default: return nil
    }
  }
}
