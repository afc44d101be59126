import Diagnostics
import FlowCore
import FlowNN
import FlowTensor

/// The ADM U-Net (Dhariwal & Nichol 2021, «Diffusion models beat GANs on image synthesis», arXiv
/// 2105.05233) in the form of Karras et al. 2022, arXiv 2206.00364: LFM's `adm`, and `adm_context`,
/// whose attending blocks are transformer blocks that see the label's embedding.
///
/// As LFM has it: the time in [0, 1] is the noise label as it is. The null label is the zero vector
/// in place of a one-hot one, or the last row of the label table of `adm_context`.
public struct DhariwalUNet: VelocityNetwork {
  public struct Configuration: NetworkConfiguration {
    public var shape: EDMShape
    /// Blocks that attend see the label's embedding; otherwise it is added to the time's.
    public var attendsToLabel: Bool
    /// The label table of a network that attends to labels has a null class in its last row (label
    /// dropout above 0 in training). Without one, the null label is a zero vector.
    public var hasNullRow: Bool

    public init(shape: EDMShape, attendsToLabel: Bool = false, hasNullRow: Bool = false) {
      (self.shape, self.attendsToLabel, self.hasNullRow) = (shape, attendsToLabel, hasNullRow)
    }

    public var latentShape: [Int] { shape.latentShape }
    public var contextChannels: Int { shape.contextChannels }
    public var withoutContext: Configuration {
      var c = self
      c.shape.contextChannels = 0
      return c
    }
    public var classes: Int { shape.classes }
    public var nullLabel: Int? { shape.nullLabel }

    public var flopsPerSample: Double {
      let (d, e) = (Double(shape.modelChannels), Double(shape.embeddingWidth))
      let map = d * e + e * e + (attendsToLabel ? 0 : Double(classes) * e)
      let last = 9 * Double(shape.widths[0] * shape.channels * shape.resolution * shape.resolution)
      let trunk = plan.products(style, inputs: shape.inputChannels, side: shape.resolution)
      return 2 * (map + trunk + last)
    }

    /// Refuses a configuration that no such network has; see `EDMShape.validate`.
    public func validate(
      _ file: String, at place: String? = nil, status: ExitStatus = .badData
    ) throws {
      try shape.validate(file, at: place, status: status)
      func fail(_ found: String, _ expected: String) -> UserError {
        UserError(status, file, at: place, found: found, expected: expected)
      }
      if attendsToLabel && classes == 0 {
        throw fail("attention to labels without classes", "at least one class")
      }
      for stage in plan.stages where stage.attends {
        let heads = style.heads(stage.outputs)
        if heads == 0 && attendsToLabel {
          throw fail("a transformer block of \(stage.outputs) channels", "at least 64 channels")
        }
        if heads > 0 && stage.outputs % heads != 0 {
          throw fail(
            "\(heads) attention heads over \(stage.outputs) channels", "widths that divide evenly")
        }
      }
    }

    var plan: EDMPlan { EDMPlan(shape, stem: shape.widths[0]) }
    var style: EDMBlockStyle {
      EDMBlockStyle(
        isADM: true, embedding: shape.embeddingWidth, filter: .box,
        attendsToContext: attendsToLabel)
    }
  }

  public let configuration: Configuration
  let timeMap: (first: Linear, second: Linear)
  let labelMap: Linear?
  let labelTable: Parameter?
  let trunk: EDMTrunk
  let norm: GroupNorm
  let last: Convolution

  public init(_ c: Configuration, _ scope: Scope) {
    configuration = c
    let (shape, style, width) = (c.shape, c.style, c.shape.embeddingWidth)
    timeMap = (
      style.linear(shape.modelChannels, width, scope("map_layer0")),
      style.linear(width, width, scope("map_layer1"))
    )
    let map = scope("map_label")
    labelMap = shape.classes > 0 && !c.attendsToLabel
      ? Linear(shape.classes, width, bias: false, weights: .normal(std: 1), map) : nil
    labelTable = shape.classes > 0 && c.attendsToLabel
      ? map("embedding_table").parameter(
        "weight", [shape.classes + (c.hasNullRow ? 1 : 0), width], .normal(std: 1)) : nil
    trunk = EDMTrunk(c.plan, style, shape: shape, auxiliary: false, scope)
    norm = style.norm(shape.widths[0], scope("out_norm"))
    last = style.convolution(
      shape.widths[0], shape.channels, kernel: 3, .last, scope("out_conv"))
  }

  /// The velocity at (x, t).
  ///
  /// - Parameters:
  ///   - x: [B, H, W, C]
  ///   - t: [B], or one time for all
  ///   - condition: B labels, or nil for the null label; a context of `contextChannels`
  /// - Returns: [B, H, W, C]
  public func callAsFunction(_ x: Tensor, t: Tensor, condition: Condition) -> Tensor {
    let (shape, b) = (configuration.shape, x.shape[0])
    let input = shape.input(x, condition)
    let times = timeFeatures(shape.times(t, batch: b), width: shape.modelChannels)  // [B, D]
    var e = timeMap.second(timeMap.first(times.riding(with: input), activation: .silu))  // [B, E]
    if let labelMap, let labels = condition.labels {
      e = e + labelMap(shape.oneHot(labels, batch: b).riding(with: input))
    }
    let context = labelTable.map { table in
      let labels = condition.labels ?? Array(repeating: shape.classes, count: b)
      precondition(labels.count == b, "DhariwalUNet: \(labels.count) labels for \(b) samples")
      let rows = labels.map { $0 == shape.classes && !configuration.hasNullRow ? nil : $0 }
      return embedding(table.tensor, rows, riding: input)  // [B, E]
    }
    let h = trunk(input, embedding: silu(e), context: context)
    return last(norm(h, activation: .silu))
  }
}
