import FlowTensor

/// All parameters of a model in one flat arena, gradients in another.
///
/// Build the layers on `scope`, then `allocate`; parameters lie in the order of their declaration,
/// each on a 64-byte boundary, and the arena is a whole number of 65,536-element chunks (the unit
/// of ordered sums and of shards).
public final class ParameterStore {
  public static let chunk = 65_536
  private static let alignment = 16

  public private(set) var parameters: [Parameter] = []
  private var byName: [String: Parameter] = [:]
  /// Length of each arena in elements, a multiple of `chunk`.
  public private(set) var arenaCount = 0
  public private(set) var values: Storage?
  public private(set) var gradients: Storage?

  public init() {}

  public var scope: Scope { Scope(store: self, prefix: "") }

  func declare(_ parameter: Parameter) -> Parameter {
    precondition(values == nil, "parameter \(parameter.name) is declared after allocate()")
    precondition(byName[parameter.name] == nil, "two parameters are named \(parameter.name)")
    let start = (parameters.last?.range.upperBound ?? 0)
    let aligned = (start + Self.alignment - 1) / Self.alignment * Self.alignment
    parameter.range = aligned..<aligned + parameter.shape.count
    parameters.append(parameter)
    byName[parameter.name] = parameter
    arenaCount = (parameter.range.upperBound + Self.chunk - 1) / Self.chunk * Self.chunk
    return parameter
  }

  /// Number of scalar parameters.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.shape.count } }

  public subscript(_ name: String) -> Parameter? { byName[name] }

  /// Gives the parameters memory, all zeros.
  ///
  /// - Parameters:
  ///   - gradients: the gradient arena (`arenaCount` elements), e.g. in a shared window; nil to
  ///     allocate one if `training`.
  public func allocate(training: Bool, gradients given: Storage? = nil) {
    precondition(values == nil, "allocate() is called twice")
    let arena = Storage(count: arenaCount)
    arena.base.update(repeating: 0, count: arenaCount)
    values = arena
    if training {
      let storage = given ?? Storage(count: arenaCount)
      precondition(storage.count >= arenaCount, "gradient arena of \(storage.count) elements")
      storage.base.update(repeating: 0, count: arenaCount)
      gradients = storage
    }
    for (index, parameter) in parameters.enumerated() {
      let gradient =
        training && parameter.isTrainable
        ? Gradient(
          leaf: index, storage: gradients!, offset: parameter.range.lowerBound,
          count: parameter.shape.count) : nil
      parameter.bound = Tensor(
        storage: arena, offset: parameter.range.lowerBound, shape: parameter.shape,
        gradient: gradient)
    }
  }

  /// Draws every parameter's start value.
  public func initialize(seed: UInt64) {
    for parameter in parameters {
      let tensor = parameter.tensor
      let draw = Philox(
        seed: seed, stream: .initialization, index: Int(fnv1a(parameter.name) & 0xFFF_FFFF_FFFF))
      switch parameter.initializer {
      case .zeros: tensor.base.update(repeating: 0, count: tensor.count)
      case .ones: tensor.base.update(repeating: 1, count: tensor.count)
      case .normal(let std):
        draw.fillNormal(tensor.base, count: tensor.count)
        for i in 0..<tensor.count { tensor.base[i] *= std }
      case .uniform(let bound):
        for i in 0..<tensor.count { tensor.base[i] = (2 * draw.uniform(i) - 1) * bound }
      case .values(let values):
        precondition(values.count == tensor.count, "\(values.count) values for \(parameter.name)")
        tensor.base.update(from: values, count: tensor.count)
      }
    }
  }

  /// Takes the values of another arena of the same layout.
  public func copyValues(from arena: Storage) {
    precondition(arena.count == arenaCount, "\(arena.count) values for an arena of \(arenaCount)")
    withExtendedLifetime(arena) { values!.base.update(from: arena.base, count: arenaCount) }
  }

  /// Forgets all gradients; the next contribution to each overwrites. What no gradient covers
  /// (constants, alignment) is zeroed: other use of the arena between two passes leaves no trace.
  public func resetGradients() {
    for parameter in parameters { parameter.gradient?.reset() }
    guard let gradients else { return }
    for gap in gaps { (gradients.base + gap.lowerBound).update(repeating: 0, count: gap.count) }
  }

  /// Ranges of the arena outside trainable parameters.
  private lazy var gaps: [Range<Int>] = {
    var gaps: [Range<Int>] = []
    var end = 0
    for parameter in parameters where parameter.isTrainable {
      if parameter.range.lowerBound > end { gaps.append(end..<parameter.range.lowerBound) }
      end = parameter.range.upperBound
    }
    if end < arenaCount { gaps.append(end..<arenaCount) }
    return gaps
  }()

  /// Zeroes the gradients that nothing contributed to since `resetGradients`.
  public func settleGradients() {
    for parameter in parameters { parameter.gradient?.settle() }
  }
}

/// FNV-1a over the UTF-8 bytes.
private func fnv1a(_ text: String) -> UInt64 {
  text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}
