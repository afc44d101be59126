import CDNNL
import Foundation

/// Extents of one 2-D convolution: everything that decides which code computes it.
struct ConvolutionGeometry: Hashable, CustomStringConvertible {
  var batch: Int
  var height: Int
  var width: Int
  var inChannels: Int
  var outChannels: Int
  var kernelHeight: Int
  var kernelWidth: Int
  var stride: Int
  var padding: Padding

  var outHeight: Int { (height + padding.top + padding.bottom - kernelHeight) / stride + 1 }
  var outWidth: Int { (width + padding.left + padding.right - kernelWidth) / stride + 1 }

  /// A matrix product over pixels.
  var isPointwise: Bool {
    kernelHeight == 1 && kernelWidth == 1 && stride == 1 && padding == .none
  }

  /// The convolution of stride 1 that computes the gradient with respect to this one's input from
  /// the gradient with respect to its output, on weights transposed and turned by 180°; nil where
  /// there is none.
  var transposed: ConvolutionGeometry? {
    let turned = Padding(
      top: kernelHeight - 1 - padding.top, left: kernelWidth - 1 - padding.left,
      bottom: kernelHeight - 1 - padding.bottom, right: kernelWidth - 1 - padding.right)
    guard stride == 1, min(turned.top, turned.left, turned.bottom, turned.right) >= 0 else {
      return nil
    }
    return ConvolutionGeometry(
      batch: batch, height: outHeight, width: outWidth, inChannels: outChannels,
      outChannels: inChannels, kernelHeight: kernelHeight, kernelWidth: kernelWidth, stride: 1,
      padding: turned)
  }

  var description: String {
    "convolution [\(batch), \(height), \(width), \(inChannels)] by [\(outChannels), \(inChannels), "
      + "\(kernelHeight), \(kernelWidth)], stride \(stride), \(padding)"
  }
}

/// One compiled pass of a convolution with the layout it wants its weights in.
final class ConvolutionPlan: @unchecked Sendable {
  enum Pass: Hashable {
    /// `adding`: y += instead of y =.
    case forward(bias: Bool, adding: Bool)
    case backwardData
    case backwardWeights(bias: Bool)
    /// With bias, and max(0, ·) behind it if `rectified`; nothing is kept for a backward pass.
    case inference(rectified: Bool)
  }

  let geometry: ConvolutionGeometry
  let primitive: OneDNNPrimitive
  /// Activations of the input's extents as the primitive reads them: [B, H, W, Cin] in memory, or
  /// in blocks of channels.
  let input: OneDNNLayout
  /// Activations of the output's extents likewise, [B, H', W', Cout].
  let output: OneDNNLayout
  /// [out, in, kh, kw] as PyTorch stores it.
  let plainWeights: OneDNNLayout
  /// The weights as the primitive wants them.
  let packedWeights: OneDNNLayout
  let bias: OneDNNLayout
  private let pack: OneDNNPrimitive
  private let unpack: [OneDNNPrimitive]
  /// The way into and out of blocks of channels, where the primitive works on them.
  private let blocking: ActivationBlocking?

  private init(_ g: ConvolutionGeometry, _ pass: Pass) {
    geometry = g
    let plainInput = OneDNNLayout([g.batch, g.inChannels, g.height, g.width], dnnl_nhwc)
    let plainOutput = OneDNNLayout([g.batch, g.outChannels, g.outHeight, g.outWidth], dnnl_nhwc)
    blocking = pass.blocks(g)
      ? ActivationBlocking(plainInput, plainOutput, adding: pass.adds, "\(g)") : nil
    input = blocking?.input ?? plainInput
    output = blocking?.output ?? plainOutput
    let extents = [g.outChannels, g.inChannels, g.kernelHeight, g.kernelWidth]
    plainWeights = OneDNNLayout(extents, dnnl_oihw)
    bias = OneDNNLayout([g.outChannels], dnnl_a)
    let any = OneDNNLayout(extents, dnnl_format_tag_any)
    let description = ConvolutionPlan.describe(g, pass, input, any, bias, output)
    packedWeights = OneDNNLayout(
      of: description,
      argument: pass.givesWeights ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS)
    primitive = OneDNNPrimitive(consuming: description, "\(g), \(pass)")
    pack = OneDNNPrimitive(reorder: plainWeights, to: packedWeights, "\(g)")
    let (packed, plain) = (packedWeights, plainWeights)
    unpack = pass.givesWeights
      ? [0, 1].map { OneDNNPrimitive(reorder: packed, to: plain, beta: $0, "\(g)") } : []
  }

  /// y = x ⋆ w + b, or y += x ⋆ w + b in a plan that adds; activations channels last.
  func forward(
    _ x: UnsafeMutablePointer<Float>, _ packed: Storage, _ bias: UnsafeMutablePointer<Float>?,
    into y: UnsafeMutablePointer<Float>
  ) {
    func run(_ x: UnsafeMutablePointer<Float>, _ y: UnsafeMutablePointer<Float>) {
      var arguments: [OneDNNPrimitive.Argument] = [
        (DNNL_ARG_SRC, input, x), (DNNL_ARG_WEIGHTS, packedWeights, packed.base),
        (DNNL_ARG_DST, output, y),
      ]
      if let bias { arguments.append((DNNL_ARG_BIAS, self.bias, bias)) }
      primitive(arguments)
    }
    if let blocking { blocking.convert(x, into: y, run) } else { run(x, y) }
    withExtendedLifetime(packed) {}
  }

  /// `weights` in the primitive's own layout.
  func packed(_ weights: UnsafeMutablePointer<Float>) -> Storage {
    let result = Storage(count: packedWeights.count)
    pack([
      (DNNL_ARG_FROM, plainWeights, weights), (DNNL_ARG_TO, packedWeights, result.base),
    ])
    return result
  }

  /// d = beta·d + the packed weight gradient, in [out, in, kh, kw].
  func unpack(_ packed: Storage, into d: UnsafeMutablePointer<Float>, beta: Float) {
    unpack[beta == 0 ? 0 : 1]([
      (DNNL_ARG_FROM, packedWeights, packed.base), (DNNL_ARG_TO, plainWeights, d),
    ])
  }

  /// The primitive description; the algorithm is always the direct one (Winograd loses digits).
  private static func describe(
    _ g: ConvolutionGeometry, _ pass: Pass, _ input: OneDNNLayout, _ weights: OneDNNLayout,
    _ bias: OneDNNLayout, _ output: OneDNNLayout
  ) -> dnnl_primitive_desc_t {
    let strides = [Int64(g.stride), Int64(g.stride)]
    let before = [Int64(g.padding.top), Int64(g.padding.left)]
    let after = [Int64(g.padding.bottom), Int64(g.padding.right)]
    var (src, wei, bia, dst) = (
      input.descriptor, weights.descriptor, bias.descriptor, output.descriptor
    )
    var hasBias = false
    if case .forward(bias: true, _) = pass { hasBias = true }
    if case .backwardWeights(bias: true) = pass { hasBias = true }
    if case .inference = pass { hasBias = true }

    return withUnsafePointer(to: &bia) { bia in
      let bia = hasBias ? bia : nil
      var forward = dnnl_convolution_desc_t()
      OneDNN.check(
        dnnl_convolution_forward_desc_init(
          &forward, pass.kind, dnnl_convolution_direct, &src, &wei, bia, &dst, strides, before,
          after), "\(g)")
      if case .forward = pass {
        // On blocks of channels the way back adds.
        let adding = pass.adds && !pass.blocks(g)
        return compile(&forward, OneDNNAttributes(summing: adding), nil, g)
      }
      if case .inference(let rectified) = pass {
        return compile(&forward, OneDNNAttributes(rectified: rectified), nil, g)
      }
      let hint = compile(&forward, OneDNNAttributes(), nil, g)
      defer { dnnl_primitive_desc_destroy(hint) }
      var backward = dnnl_convolution_desc_t()
      let status = pass == .backwardData
        ? dnnl_convolution_backward_data_desc_init(
          &backward, dnnl_convolution_direct, &src, &wei, &dst, strides, before, after)
        : dnnl_convolution_backward_weights_desc_init(
          &backward, dnnl_convolution_direct, &src, &wei, bia, &dst, strides, before, after)
      OneDNN.check(status, "\(g)")
      return compile(&backward, OneDNNAttributes(), hint, g)
    }
  }

  private static func compile(
    _ operation: inout dnnl_convolution_desc_t, _ attributes: OneDNNAttributes,
    _ hint: dnnl_primitive_desc_t?, _ g: ConvolutionGeometry
  ) -> dnnl_primitive_desc_t {
    var description: dnnl_primitive_desc_t?
    OneDNN.check(
      dnnl_primitive_desc_create(
        &description, &operation, attributes.handle, OneDNN.shared.engine, hint), "\(g)")
    return description!
  }
}

extension ConvolutionPlan.Pass {
  fileprivate var givesWeights: Bool {
    if case .backwardWeights = self { true } else { false }
  }

  fileprivate var adds: Bool {
    if case .forward(_, adding: true) = self { true } else { false }
  }

  fileprivate func blocks(_ g: ConvolutionGeometry) -> Bool {
    if case .forward = self { ActivationBlocking.suits(g) } else { false }
  }

  fileprivate var kind: dnnl_prop_kind_t {
    if case .inference = self { dnnl_forward_inference } else { dnnl_forward_training }
  }
}

extension ConvolutionPlan {
  private struct Key: Hashable {
    let geometry: ConvolutionGeometry
    let pass: Pass
    let threads: Int
  }

  /// Plans by geometry, pass and number of threads: compiling one takes milliseconds.
  private final class Cache: @unchecked Sendable {
    static let shared = Cache()
    let lock = NSLock()
    var plans: [Key: ConvolutionPlan] = [:]
  }

  static func cached(_ geometry: ConvolutionGeometry, _ pass: Pass) -> ConvolutionPlan {
    let key = Key(geometry: geometry, pass: pass, threads: Threads.count)
    let cache = Cache.shared
    return cache.lock.withLock {
      if let plan = cache.plans[key] { return plan }
      let plan = ConvolutionPlan(geometry, pass)
      cache.plans[key] = plan
      return plan
    }
  }
}
