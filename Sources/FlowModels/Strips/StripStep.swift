import FlowNN
import FlowTensor

/// A part of the autoencoder between two maps that are stored.
enum StripStep {
  /// A 3×3 convolution of what every rank holds whole.
  case convolve(Convolution)
  /// With a convolution of the map up-sampled by two in front of it, where there is one.
  case residual(AutoencoderResidual, upsampling: Convolution?)
  case attend(AutoencoderAttention)
  case halve(Convolution)
  /// conv(silu(norm(x))), whole on every rank.
  case finish(GroupNorm, Convolution)
}

/// How one step is computed: the less it stores, the more it computes again.
struct StripChoice: Equatable, Sendable {
  /// Rows of a strip of the step's result.
  var rows: Int
  /// Keeps the up-sampled map in front of a residual, which otherwise is computed up to four times.
  var storesUpsampled = true
  /// Keeps the map between a residual's convolutions; otherwise the first is computed twice.
  var storesHidden = true
}

extension AutoencoderEncoder {
  var steps: [StripStep] {
    var steps: [StripStep] = [.convolve(convIn)]
    for level in levels {
      steps += level.residuals.map { .residual($0, upsampling: nil) }
      if let halve = level.halve { steps.append(.halve(halve)) }
    }
    return steps + middle.steps + [.finish(norm, convOut)]
  }
}

extension AutoencoderDecoder {
  var steps: [StripStep] {
    var steps = [.convolve(convIn)] + middle.steps
    var upsampling: Convolution?
    for level in levels {
      for residual in level.residuals {
        steps.append(.residual(residual, upsampling: upsampling))
        upsampling = nil
      }
      upsampling = level.double
    }
    return steps + [.finish(norm, convOut)]
  }
}

extension AutoencoderMiddle {
  fileprivate var steps: [StripStep] {
    [.residual(first, upsampling: nil)] + (attention.map { [.attend($0)] } ?? [])
      + [.residual(second, upsampling: nil)]
  }
}
