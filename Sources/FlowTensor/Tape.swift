/// A Wengert list: reverse-mode differentiation over coarse operations.
///
/// Operations append a pullback each; `backward` walks the list from the end and drops every entry
/// as soon as it has run, so that saved activations die progressively. One tape serves one backward
/// pass.
public final class Tape {
  private struct Entry {
    let result: Gradient
    let leaves: [Gradient]
    let pullback: (Storage) -> Void
  }

  private var entries: [Entry?] = []

  public init() {}

  /// Puts `x` on the tape and asks for its gradient.
  public func ride(_ x: Tensor) -> Tensor {
    var result = x
    result.tape = self
    result.gradient = Gradient(count: x.count)
    return result
  }

  /// Puts `x` on the tape without asking for its gradient: parameters met downstream are recorded.
  public func ride(constant x: Tensor) -> Tensor {
    var result = x
    result.tape = self
    result.gradient = nil
    return result
  }

  /// Ties `result` to the operation that made it.
  ///
  /// - Parameters:
  ///   - leaves: the parameters among the operation's inputs (others are ignored).
  ///   - pullback: receives the gradient of the loss with respect to `result` and adds the
  ///     gradients with respect to the inputs into their `Gradient`s. It must capture storages and
  ///     `Gradient`s, never tensors that ride the tape (a retain cycle).
  package func record(
    _ result: Tensor, leaves: [Gradient?] = [], pullback: @escaping (_ dy: Storage) -> Void
  ) -> Tensor {
    let gradient = Gradient(count: result.count)
    let leaves = leaves.compactMap { $0?.isLeaf == true ? $0 : nil }
    for leaf in leaves { leaf.pendingUses += 1 }
    entries.append(Entry(result: gradient, leaves: leaves, pullback: pullback))
    var recorded = result
    recorded.tape = self
    recorded.gradient = gradient
    return recorded
  }

  /// Differentiates the scalar `loss` with respect to everything recorded.
  ///
  /// - Parameter finished: called for each parameter when its last contribution has been added.
  public func backward(
    from loss: Tensor, scale: Float = 1, finished: (_ leaf: Gradient) -> Void = { _ in }
  ) {
    precondition(loss.count == 1, "backward starts from a scalar, not from shape \(loss.shape)")
    precondition(loss.tape === self, "the loss does not ride this tape")
    loss.gradient!.add { d, _ in d[0] = scale }
    for index in entries.indices.reversed() {
      let entry = entries[index]!
      entries[index] = nil
      if let dy = entry.result.storage {
        entry.result.storage = nil
        entry.pullback(dy)
      }
      for leaf in entry.leaves {
        leaf.pendingUses -= 1
        if leaf.pendingUses == 0 { finished(leaf) }
      }
    }
    entries.removeAll()
  }
}

/// Where the gradient with respect to one tensor gathers.
///
/// The first contribution overwrites, later ones add: no buffer is cleared first.
public final class Gradient {
  public let count: Int
  /// Index of the parameter in its store; nil for an activation.
  public let leafIndex: Int?
  public internal(set) var storage: Storage?
  private let offset: Int
  /// True until the first contribution.
  public private(set) var isFresh = true
  var pendingUses = 0

  var isLeaf: Bool { leafIndex != nil }

  /// The gradient of an activation: memory is taken at the first contribution.
  init(count: Int) {
    self.count = count
    self.leafIndex = nil
    self.offset = 0
  }

  /// The gradient of a parameter: a slice of the store's gradient arena.
  public init(leaf index: Int, storage: Storage, offset: Int, count: Int) {
    self.count = count
    self.leafIndex = index
    self.storage = storage
    self.offset = offset
  }

  /// Adds a contribution: `body` writes into the pointer, overwriting where `beta` is 0 and adding
  /// where it is 1.
  public func add(_ body: (_ d: UnsafeMutablePointer<Float>, _ beta: Float) -> Void) {
    if storage == nil { storage = Storage(count: count) }
    body(storage!.base + offset, isFresh ? 0 : 1)
    isFresh = false
  }

  /// Adds a whole buffer; takes it over if it is the first contribution to an activation.
  func add(consuming contribution: Storage) {
    if isFresh && !isLeaf {
      storage = contribution
      isFresh = false
    } else {
      add { d, beta in Kernel.accumulate(contribution.base, into: d, beta: beta, count: count) }
    }
  }

  /// Forgets all contributions; memory of an arena stays.
  public func reset() {
    isFresh = true
    pendingUses = 0
    if !isLeaf { storage = nil }
  }

  /// Writes zeros where nothing was contributed, so that the arena holds a gradient throughout.
  public func settle() {
    if isFresh { add { d, _ in d.update(repeating: 0, count: count) } }
  }

  /// The gathered gradient, or nil if nothing contributed.
  public var values: [Float]? {
    guard let storage, !isFresh else { return nil }
    return Array(UnsafeBufferPointer(start: storage.base + offset, count: count))
  }
}
