import FlowNN
import FlowTensor

/// How a network that sees a context begins with the weights of one that sees none, or less of it:
/// the channels of the context that the file does not know begin at zero, so that the network
/// starts out as the function that it was, whatever the context.
public struct Widening: Sendable {
  /// Weights that see the context, [out, in, k, k], and how many of their input channels are not
  /// the context's.
  public let inputs: [String: Int]
  /// Parameters that make the context: drawn as new where the file has none.
  public let makers: Set<String>

  /// Nothing may be missing.
  public static let none = Widening(inputs: [:], makers: [])
}

extension Network {
  /// What of this network a network without its context does not have.
  public var widening: Widening {
    guard specification.contextChannels > 0 else { return .none }
    let narrow = Network(specification.withoutContext).store
    var inputs: [String: Int] = [:]
    for parameter in store.parameters {
      guard let other = narrow[parameter.name], other.shape != parameter.shape else { continue }
      inputs[parameter.name] = other.shape[1]
    }
    let makers = store.parameters.map(\.name).filter { $0.hasPrefix(Self.rescalerScope + ".") }
    return Widening(inputs: inputs, makers: Set(makers))
  }
}

extension Widening {
  /// Whether a weight of the file is that of the network with fewer channels of the context.
  func admits(_ name: String, _ found: Shape, for wanted: Shape) -> Bool {
    guard let least = inputs[name], found.rank == 4, wanted.rank == 4 else { return false }
    return (least..<wanted[1]).contains(found[1]) && found[0] == wanted[0]
      && found.dims[2...] == wanted.dims[2...]
  }
}

/// Takes `narrow`, [out, n, k, k], as the first n input channels; zeros behind them.
func widen(_ narrow: Tensor, into wide: Tensor) {
  let (rows, from, to) = (wide.shape[0], narrow.count / wide.shape[0], wide.count / wide.shape[0])
  wide.base.update(repeating: 0, count: wide.count)
  for row in 0..<rows {
    (wide.base + row * to).update(from: narrow.base + row * from, count: from)
  }
}
