import Diagnostics
import FlowCore
import FlowNN
import FlowTensor

/// DDPM++ and NCSN++ (Song et al. 2021, «Score-based generative modeling through stochastic
/// differential equations», arXiv 2011.13456, section 4.4 and appendix H) in the form of Karras et
/// al. 2022, arXiv 2206.00364: LFM's `ddpm++` and `ncsn++`.
///
/// As LFM has it: the time in [0, 1] is the noise label as it is. The null label is the zero vector
/// in place of a one-hot one.
public struct SongUNet: VelocityNetwork {
  public enum Variant: String, Sendable, CaseIterable {
    /// Sinusoidal features of the time, box filter.
    case ddpmpp = "ddpm++"
    /// Random Fourier features of the time, [1, 3, 3, 1] filter, residuals from the input to every
    /// level of the encoder.
    case ncsnpp = "ncsn++"
  }

  public struct Configuration: NetworkConfiguration {
    public var shape: EDMShape
    public var variant: Variant

    public init(shape: EDMShape, variant: Variant) {
      (self.shape, self.variant) = (shape, variant)
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
      let (d, e) = (Double(featureWidth), Double(shape.embeddingWidth))
      let map = d * e + e * e + Double(classes) * d
      let side = shape.resolution
      let last = 9 * Double(shape.widths[0] * shape.channels * side * side)
      let trunk = plan.products(style, inputs: shape.inputChannels, side: side)
      return 2 * (map + trunk + last + auxiliaryProducts)
    }

    /// Refuses a configuration that no such network has; see `EDMShape.validate`.
    public func validate(
      _ file: String, at place: String? = nil, status: ExitStatus = .badData
    ) throws {
      try shape.validate(file, at: place, status: status)
    }

    /// Multiply-adds of the residuals from the input, whose convolutions come before halving.
    private var auxiliaryProducts: Double {
      guard variant == .ncsnpp else { return 0 }
      var (sum, inputs) = (0.0, shape.inputChannels)
      for stage in plan.encoder where stage.resampling == .down {
        let side = 2 * stage.resolution + 2
        sum += Double(9 * inputs * stage.outputs * side * side)
        inputs = stage.outputs
      }
      return sum
    }

    /// Width of the time's features.
    var featureWidth: Int { variant == .ncsnpp ? 2 * shape.modelChannels : shape.modelChannels }
    var plan: EDMPlan { EDMPlan(shape, stem: shape.modelChannels, decoderAttendsOnce: true) }
    var style: EDMBlockStyle {
      EDMBlockStyle(
        isADM: false, embedding: shape.embeddingWidth,
        filter: variant == .ncsnpp ? .binomial : .box, attendsToContext: false)
    }
  }

  public let configuration: Configuration
  /// Frequencies of the Fourier features, [D / 2]; a constant.
  let frequencies: Parameter?
  let timeMap: (first: Linear, second: Linear)
  let labelMap: Linear?
  let trunk: EDMTrunk
  let norm: GroupNorm
  let last: Convolution

  public init(_ c: Configuration, _ scope: Scope) {
    configuration = c
    let (shape, style, features) = (c.shape, c.style, c.featureWidth)
    frequencies = c.variant == .ncsnpp
      ? scope("map_noise").parameter(
        "freqs", [features / 2], .normal(std: 16), trainable: false) : nil
    timeMap = (
      style.linear(features, shape.embeddingWidth, scope("map_layer0")),
      style.linear(shape.embeddingWidth, shape.embeddingWidth, scope("map_layer1"))
    )
    labelMap = shape.classes > 0
      ? style.linear(shape.classes, features, scope("map_label")) : nil
    trunk = EDMTrunk(
      c.plan, style, shape: shape, auxiliary: c.variant == .ncsnpp, scope)
    let head = "\(shape.resolution)x\(shape.resolution)_aux"
    norm = style.norm(shape.widths[0], scope("dec")("\(head)_norm"))
    last = style.convolution(
      shape.widths[0], shape.channels, kernel: 3, .last, scope("dec")("\(head)_conv"))
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
    var e = features(shape.times(t, batch: b)).riding(with: input)  // [B, D]
    if let labelMap {
      let labels = condition.labels ?? Array(repeating: shape.classes, count: b)
      let scale = Float(shape.classes).squareRoot()
      e = e + labelMap((scale * shape.oneHot(labels, batch: b)).riding(with: input))
    }
    e = timeMap.second(timeMap.first(e, activation: .silu), activation: .silu)  // [B, E]
    let h = trunk(input, embedding: e)
    return last(norm(h, activation: .silu))
  }

  /// [B] → [B, D], sines first.
  private func features(_ t: Tensor) -> Tensor {
    if let frequencies {
      return sinusoids(t, frequencies: frequencies.tensor.values.map { 2 * Float.pi * $0 })
    }
    let half = configuration.featureWidth / 2
    return sinusoids(t, frequencies: geometricFrequencies(half, lowest: 1e-4))
  }
}
