import CDNNL

/// The way of a convolution's activations from channels last into blocks of channels and back.
///
/// On channels-last activations oneDNN adds up the k·k·Cin products of an output in one chain, and
/// the rounding error grows with its length: 4e-7 at 64 channels, 1e-6 at 512. On blocks it adds up
/// one block of channels at a time: 2e-7 at any width, at the same speed. The two copies cost 1 to
/// 5 % of the convolution; packing the weights takes half the time there, which wins that back on
/// small extents (Zen 4, 8×8 pixels: 4 % faster as a whole at 384 channels, 13 % at 768; 16×16:
/// 3 % slower at 256 channels; larger images lose more, and keep the chain).
struct ActivationBlocking {
  let input: OneDNNLayout
  let output: OneDNNLayout
  private let plainInput: OneDNNLayout
  private let plainOutput: OneDNNLayout
  private let enter: OneDNNPrimitive
  private let leave: OneDNNPrimitive

  /// Whether the copies are worth it: layers with a chain long enough to matter, on images so
  /// small that the weights count. A function of the shape and the instruction set.
  static func suits(_ g: ConvolutionGeometry) -> Bool {
    hasKernels && g.kernelHeight * g.kernelWidth > 1 && g.height * g.width <= 256
      && min(g.inChannels, g.outChannels) >= 64
      && g.inChannels % channels == 0 && g.outChannels % channels == 0
  }

  /// Channels of a block: those of a vector register of AVX-512. On older processors oneDNN adds up
  /// one chain on blocks, too.
  private static let channels = 16
  private static let hasKernels: Bool = {
    #if arch(x86_64)
      let least = dnnl_cpu_isa_avx512_core.rawValue
      return dnnl_get_effective_cpu_isa().rawValue & least == least
    #else
      return false
    #endif
  }()

  /// - Parameters:
  ///   - plainInput, plainOutput: channels last
  ///   - adding: the way back adds to what is there.
  init(
    _ plainInput: OneDNNLayout, _ plainOutput: OneDNNLayout, adding: Bool, _ work: String
  ) {
    input = OneDNNLayout(plainInput.extents, dnnl_nChw16c)
    output = OneDNNLayout(plainOutput.extents, dnnl_nChw16c)
    (self.plainInput, self.plainOutput) = (plainInput, plainOutput)
    enter = OneDNNPrimitive(reorder: plainInput, to: input, work)
    leave = OneDNNPrimitive(reorder: output, to: plainOutput, beta: adding ? 1 : 0, work)
  }

  /// Runs `body` on blocked copies of `x` and of the result, which then goes into `y`.
  func convert(
    _ x: UnsafeMutablePointer<Float>, into y: UnsafeMutablePointer<Float>,
    _ body: (_ x: UnsafeMutablePointer<Float>, _ y: UnsafeMutablePointer<Float>) -> Void
  ) {
    let (from, to) = (Storage(count: input.count), Storage(count: output.count))
    enter([(DNNL_ARG_FROM, plainInput, x), (DNNL_ARG_TO, input, from.base)])
    body(from.base, to.base)
    leave([(DNNL_ARG_FROM, output, to.base), (DNNL_ARG_TO, plainOutput, y)])
    withExtendedLifetime((from, to)) {}
  }
}
