import FlowModels
import FlowNN
import FlowTensor

/// What a network costs, without giving it memory.
public struct NetworkCost: Sendable {
  /// Parameters of one block, or of several alike.
  public struct Block: Equatable, Sendable, Encodable {
    /// `blocks.0`, or `blocks.0 … blocks.23`.
    public var name: String
    /// How many blocks of this size follow one another.
    public var count: Int
    /// Of one of them.
    public var parameters: Int
  }

  public let specification: NetworkSpecification
  /// All that a weights file holds, constants included.
  public let parameterCount: Int
  /// Those that training changes.
  public let trainableCount: Int
  public let blocks: [Block]
  /// Floats of the parameter arena.
  let arenaCount: Int
  private let rescalerFlops: Double
  /// Inputs and outputs of all products of one sample, in floats.
  private let productFloats: Double
  /// The largest of them.
  private let largestProduct: Double
  /// What skip connections hold until the way up, in floats.
  private let skipFloats: Double

  /// - Parameter rescaler: of semantic maps, where the network has one.
  public init(
    _ specification: NetworkSpecification, rescaler: SpatialRescaler.Configuration? = nil
  ) {
    self.specification = specification
    let store = Network(specification, rescaler: rescaler).store
    rescalerFlops = rescaler.map {
      Double(2 * specification.latentShape[0] * specification.latentShape[1])
        * Double($0.inChannels * $0.outChannels)
    } ?? 0
    parameterCount = store.parameterCount
    trainableCount = store.parameters.reduce(0) { $0 + ($1.isTrainable ? $1.shape.count : 0) }
    arenaCount = store.arenaCount
    blocks = NetworkCost.blocks(store.parameters)
    let map = FeatureMaps(specification)
    var (sum, largest, skips) = (0.0, 0.0, 0.0)
    for parameter in store.parameters
    where parameter.isTrainable && parameter.shape.rank >= 2 {
      let pixels = map.pixels(of: parameter.name)
      guard pixels > 1 else { continue }
      let outputs = Double(parameter.shape[0]) * pixels
      let floats = Double(parameter.shape[1]) * pixels + outputs
      sum += floats
      largest = max(largest, floats)
      if map.isOnWayDown(parameter.name) { skips += outputs }
    }
    (productFloats, largestProduct, skipFloats) = (sum, largest, skips)
  }

  public var flopsPerSample: Double { specification.flopsPerSample + rescalerFlops }

  // MARK: - Memory in bytes

  /// Program, libraries and their buffers.
  public static let program = 64e6

  /// Of one rank that trains.
  ///
  /// - Parameters:
  ///   - microBatch: samples that go through the network together.
  ///   - microBatches: of a global step, K.
  ///   - ranks: N, which divides K.
  ///   - keepsAverage: the running average of the parameters.
  public func trainingMemory(
    microBatch: Int, microBatches: Int, ranks: Int, keepsAverage: Bool
  ) -> Double {
    let arena = 4 * Double(arenaCount)
    let partials = max(1, microBatches / max(1, ranks)).trailingZeroBitCount
    // Values and gradients; partial sums of micro-batches; moments and average, shared out; one
    // more arena while a checkpoint is written.
    let arenas = 2 + Double(partials) + (keepsAverage ? 3.0 : 2.0) / Double(max(1, ranks)) + 1
    return Self.program + arenas * arena + 4 * activations * Double(microBatch)
  }

  /// Of one rank that samples.
  ///
  /// - Parameter isGuided: guidance doubles the batch.
  public func samplingMemory(batch: Int, isGuided: Bool = false) -> Double {
    // At the widest place input, output and what is made of them; skips, and their concatenation.
    let floats = (2.5 * largestProduct + 2 * skipFloats) * Double(batch) * (isGuided ? 2 : 1)
    return Self.program + 4 * Double(arenaCount) + 4 * floats
  }

  /// Floats that the tape holds of one sample when the backward pass begins: inputs and outputs of
  /// the products, and an eighth for sums of residuals and what the backward pass adds.
  private var activations: Double { productFloats * 1.125 + 2 * largestProduct }

  // MARK: - Blocks

  private static func blocks(_ parameters: [Parameter]) -> [Block] {
    var names: [String] = []
    var counts: [String: Int] = [:]
    for parameter in parameters {
      let name = blockName(parameter.name)
      if counts[name] == nil { names.append(name) }
      counts[name, default: 0] += parameter.shape.count
    }
    var blocks: [Block] = []
    for name in names {
      let count = counts[name]!
      if let last = blocks.last, last.parameters == count, follows(name, last.name) {
        let first = last.name.split(separator: " ")[0]
        blocks[blocks.count - 1].name = "\(first) … \(name)"
        blocks[blocks.count - 1].count += 1
      } else {
        blocks.append(Block(name: name, count: 1, parameters: count))
      }
    }
    return blocks
  }

  /// `blocks.3.attn.qkv.weight` → `blocks.3`; `t_embedder.mlp.0.weight` → `t_embedder`.
  private static func blockName(_ name: String) -> String {
    let parts = name.split(separator: ".").map(String.init)
    guard parts.count > 2 else { return parts[0] }
    let isIndexed = Int(parts[1]) != nil || ["enc", "dec", "encoder", "decoder"].contains(parts[0])
    return isIndexed ? parts[0] + "." + parts[1] : parts[0]
  }

  /// Whether the number at the end of `name` is one more than that of the last name in `range`.
  private static func follows(_ name: String, _ range: String) -> Bool {
    func split(_ text: Substring) -> (stem: Substring, number: Int)? {
      let digits = text.reversed().prefix { $0.isNumber }.count
      guard let number = Int(text.suffix(digits)) else { return nil }
      return (text.dropLast(digits), number)
    }
    guard let last = split(range.split(separator: " ").last!), let next = split(name[...]) else {
      return false
    }
    return last.stem == next.stem && next.number == last.number + 1
  }
}

/// How many pixels or tokens a product of a network has, by the name of its weight.
private struct FeatureMaps {
  private enum Kind {
    case tokens(Double)
    /// Sides stand in the names.
    case edm(resolution: Int)
    case guided(resolution: Int, levels: Int, blocks: Int)
  }

  private let kind: Kind

  init(_ specification: NetworkSpecification) {
    switch specification {
    case .dit(let c): kind = .tokens(Double(c.tokens))
    case .dhariwal(let c): kind = .edm(resolution: c.shape.resolution)
    case .song(let c): kind = .edm(resolution: c.shape.resolution)
    case .adm(let c):
      kind = .guided(resolution: c.resolution, levels: c.multiples.count, blocks: c.residuals)
    case .layout(let c):
      kind = .guided(
        resolution: c.trunk.resolution, levels: c.trunk.multiples.count, blocks: c.trunk.residuals)
    case .efficient(let c):
      kind = .guided(
        resolution: c.resolution / c.poolFactor, levels: c.multipliers.count,
        blocks: c.residualsPerLevel)
    }
  }

  /// 1 for maps of times and labels, which a sample has once.
  func pixels(of name: String) -> Double {
    let parts = name.split(separator: ".")
    switch kind {
    case .tokens(let tokens):
      let isOfCondition =
        parts[0] == "t_embedder" || parts[0] == "y_embedder"
        || name.contains("adaLN_modulation")
      return isOfCondition ? 1 : tokens
    case .edm(let resolution):
      if parts[0].hasPrefix("map_") || name.contains(".affine.") { return 1 }
      let side = parts.count > 1 ? Int(parts[1].prefix { $0 != "x" }) : nil
      return square(side ?? resolution)
    case .guided(let resolution, let levels, let blocks):
      if ["time_embed", "label_emb"].contains(parts[0]) || name.contains(".emb_layers.") {
        return 1
      }
      let index = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
      switch parts[0] {
      case "input_blocks": return square(resolution >> (index / (blocks + 1)))
      case "middle_block": return square(resolution >> (levels - 1))
      case "output_blocks": return square(resolution >> (levels - 1 - index / (blocks + 1)))
      default: return square(resolution)
      }
    }
  }

  func isOnWayDown(_ name: String) -> Bool {
    switch kind {
    case .tokens: false
    case .edm: name.hasPrefix("enc.") && name.hasSuffix("conv1.weight")
    case .guided: name.hasPrefix("input_blocks.") && name.hasSuffix("out_layers.3.weight")
    }
  }

  private func square(_ side: Int) -> Double { Double(side * side) }
}
