import FlowData
import FlowModels

/// A network recognised from the keys and shapes of its weights.
public struct RecognizedNetwork: Equatable, Sendable {
  public var specification: NetworkSpecification
  /// What neither keys nor shapes tell, and what is assumed, a line each.
  public var assumptions: [String]

  /// The network that has these weights; nil if none of those that are built.
  ///
  /// - Parameters:
  ///   - shapes: by key, without prefix.
  ///   - resolution: of the latents, where the weights do not tell; nil assumes 32, which is what
  ///     images of 256 pixels have.
  public init?(_ shapes: [String: [Int]], resolution: Int? = nil) {
    let weights = WeightShapes(shapes)
    guard
      let found = weights.dit(resolution: resolution)
        ?? weights.edm() ?? weights.guidedDiffusion(resolution: resolution)
    else { return nil }
    self = found
  }

  /// The network whose weights `file` holds, under any prefix.
  ///
  /// - Parameter averaged: of a file that holds both, the running average.
  public init?(_ file: any TensorSource, averaged: Bool = true, resolution: Int? = nil) throws {
    let keys = WeightKeys(file.names)
    // The largest group: what lies beside a network, such as a counter, is smaller.
    guard let group = keys.best(averaged: averaged, score: { $0.names.count }) else { return nil }
    var shapes: [String: [Int]] = [:]
    for name in group.names { shapes[name] = try file.shape(group.key(name)).dims }
    self.init(shapes, resolution: resolution)
  }

  init(_ specification: NetworkSpecification, _ assumptions: [String]) {
    (self.specification, self.assumptions) = (specification, assumptions)
  }
}

extension NetworkSpecification {
  /// What the network is called in a configuration's `model.kind`.
  public var kind: String {
    switch self {
    case .dit: "dit"
    case .dhariwal(let c): c.attendsToLabel ? "adm_context" : "adm"
    case .song(let c): c.variant == .ddpmpp ? "ddpm++" : "ncsn++"
    case .adm: "original_adm"
    case .layout: "layout"
    case .efficient: "efficient_unet"
    }
  }
}

/// Shapes of weights by key.
struct WeightShapes {
  let shapes: [String: [Int]]

  init(_ shapes: [String: [Int]]) { self.shapes = shapes }

  /// Of a tensor of so many extents.
  func shape(_ key: String, rank: Int) -> [Int]? {
    guard let shape = shapes[key], shape.count == rank, shape.allSatisfy({ $0 > 0 }) else {
      return nil
    }
    return shape
  }

  /// How many of `key(0)`, `key(1)`, … there are before the first that is not.
  func count(_ key: (Int) -> String) -> Int {
    var n = 0
    while shapes[key(n)] != nil { n += 1 }
    return n
  }

  /// Rows of a label table as real classes and a null class, which is the last row unless a
  /// known data set has so many classes.
  func classes(rows: Int) -> (classes: Int, hasNull: Bool, assumption: String?) {
    if rows == 1 { return (1, false, nil) }
    if [10, 100, 1000].contains(rows) {
      return (rows, false, "\(rows) classes without a null class")
    }
    return (rows - 1, true, "\(rows - 1) classes; the last of \(rows) labels is the null class")
  }
}

extension WeightShapes {
  /// DiT: `x_embedder`, `blocks.N`, `final_layer`.
  func dit(resolution: Int?) -> RecognizedNetwork? {
    guard let embedder = shape("x_embedder.proj.weight", rank: 4),
      let table = shape("y_embedder.embedding_table.weight", rank: 2),
      let last = shape("final_layer.linear.weight", rank: 2),
      let hidden = shape("blocks.0.mlp.fc1.weight", rank: 2)
    else { return nil }
    let (width, inputs, patch) = (embedder[0], embedder[1], embedder[2])
    // The position embedding is a constant, which some files leave out.
    let given = shape("pos_embed", rank: 3)?[1]
    let tokens = given ?? ((resolution ?? 32) / patch) * ((resolution ?? 32) / patch)
    let side = Int(Double(tokens).squareRoot().rounded())
    let outputs = last[0] / (patch * patch)
    let learnsSigma = outputs == 2 * inputs
    // What comes in beside the state that goes out is a context.
    let channels = learnsSigma ? inputs : outputs
    guard side > 0, side * side == tokens, (1...inputs).contains(channels),
      last[0] == outputs * patch * patch, width % 4 == 0, embedder[3] == patch
    else { return nil }
    let published = ["S", "B", "L", "XL"].compactMap { DiT.Configuration.size($0) }
    let heads = published.first { $0.width == width }?.heads ?? max(1, width / 64)
    guard width % heads == 0 else { return nil }
    let (classes, hasNull, assumption) = classes(rows: table[0])
    return RecognizedNetwork(
      .dit(
        DiT.Configuration(
          resolution: side * patch, channels: channels, contextChannels: inputs - channels,
          patch: patch, width: width,
          depth: count { "blocks.\($0).attn.qkv.weight" }, heads: heads,
          mlpRatio: Double(hidden[0]) / Double(width), classes: classes, hasNullClass: hasNull,
          learnsSigma: learnsSigma)),
      [
        "\(heads) heads, as published for width \(width)", assumption,
        given == nil ? "latents of \(side * patch)×\(side * patch)" : nil,
      ].compactMap(\.self))
  }

  /// The U-Nets of EDM: `enc.32x32_conv` and so on.
  func edm() -> RecognizedNetwork? {
    let first = shapes.keys.first { $0.hasPrefix("enc.") && $0.hasSuffix("_conv.weight") }
    guard let first, let resolution = Int(first.dropFirst(4).prefix { $0 != "x" }),
      let stem = shape(first, rank: 4), let time = shape("map_layer0.weight", rank: 2),
      let last = shape("out_conv.weight", rank: 4)
        ?? shape("dec.\(resolution)x\(resolution)_aux_conv.weight", rank: 4)
    else { return nil }
    let channels = time[0] / 4
    func key(_ side: Int, _ rest: String) -> String { "enc.\(side)x\(side)_block\(rest)" }
    let sides = sequence(first: resolution) { $0 > 1 ? $0 / 2 : nil }
      .prefix { shapes[key($0, "0.conv0.weight")] != nil }
    let widths = sides.compactMap { shape(key($0, "0.conv0.weight"), rank: 4)?[0] }
    guard channels > 0, widths.allSatisfy({ $0 % channels == 0 }), stem[1] >= last[0] else {
      return nil
    }
    let attends = shapes.keys.contains { $0.contains(".transformer.") }
    var (classes, hasNull, assumption) = (0, false, String?.none)
    if let map = shape("map_label.weight", rank: 2) {
      classes = map[1]
    } else if let table = shape("map_label.embedding_table.weight", rank: 2) {
      (classes, hasNull, assumption) = self.classes(rows: table[0])
    }
    let extents = EDMShape(
      resolution: resolution, channels: last[0], contextChannels: stem[1] - last[0],
      modelChannels: channels, channelMultipliers: widths.map { $0 / channels },
      blocksPerLevel: count { key(resolution, "\($0).conv0.weight") },
      attentionResolutions: sides.filter {
        shapes[key($0, "0.qkv.weight")] != nil
          || shapes[key($0, "0.transformer.attn1.q.weight")] != nil
      }, classes: classes)
    let assumptions = [assumption].compactMap(\.self)
    if shapes["out_conv.weight"] != nil {
      return RecognizedNetwork(
        .dhariwal(.init(shape: extents, attendsToLabel: attends, hasNullRow: hasNull)), assumptions)
    }
    let variant: SongUNet.Variant = shapes["map_noise.freqs"] != nil ? .ncsnpp : .ddpmpp
    return RecognizedNetwork(.song(.init(shape: extents, variant: variant)), assumptions)
  }
}
