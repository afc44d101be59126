/// A row-major, contiguous float32 tensor.
///
/// A value: operations return new tensors. `tape` is set while the tensor rides a tape, that is
/// while a gradient is wanted of something computed from it; sampling code never sees one.
public struct Tensor {
  public let storage: Storage
  /// First element inside the storage: a parameter is a slice of an arena.
  public let offset: Int
  public let shape: Shape
  public internal(set) var tape: Tape?
  /// Where the gradient with respect to this tensor gathers; nil if nobody asks for it.
  public internal(set) var gradient: Gradient?

  public init(storage: Storage, offset: Int = 0, shape: Shape, gradient: Gradient? = nil) {
    precondition(
      offset >= 0 && offset + shape.count <= storage.count,
      "shape \(shape) at offset \(offset) exceeds a storage of \(storage.count) elements")
    self.storage = storage
    self.offset = offset
    self.shape = shape
    self.gradient = gradient
  }

  public init(uninitialized shape: Shape) {
    self.init(storage: Storage(count: shape.count), shape: shape)
  }

  public init(_ shape: Shape, fill value: Float) {
    self.init(uninitialized: shape)
    base.update(repeating: value, count: count)
  }

  public init(_ shape: Shape, _ values: [Float]) {
    precondition(values.count == shape.count, "\(values.count) values for shape \(shape)")
    self.init(uninitialized: shape)
    base.update(from: values, count: count)
  }

  public var base: UnsafeMutablePointer<Float> { storage.base + offset }
  public var count: Int { shape.count }

  /// The elements, row-major.
  public var values: [Float] { Array(UnsafeBufferPointer(start: base, count: count)) }

  /// The only element of a scalar or a tensor of one element.
  public var item: Float {
    precondition(count == 1, "item of a tensor of shape \(shape)")
    return base[0]
  }

  /// The same elements under another shape; shares memory and gradient.
  public func reshaped(_ shape: Shape) -> Tensor {
    precondition(shape.count == count, "cannot reshape \(self.shape) to \(shape)")
    var result = Tensor(storage: storage, offset: offset, shape: shape, gradient: gradient)
    result.tape = tape
    return result
  }

  /// The same elements with no tie to a tape.
  public var detached: Tensor { Tensor(storage: storage, offset: offset, shape: shape) }

  /// Rides the tape of `other` if that rides one, without asking for a gradient of its own: what is
  /// computed from it and from parameters is then recorded.
  public func riding(with other: Tensor) -> Tensor {
    var result = self
    result.tape = result.tape ?? other.tape
    return result
  }

  /// Rows `range` of the outermost axis; shares memory. Not recorded: for data, not activations.
  public func slice(_ range: Range<Int>) -> Tensor {
    precondition(tape == nil, "a slice of a tensor that rides a tape is not recorded")
    precondition(shape.rank >= 1 && range.lowerBound >= 0 && range.upperBound <= shape[0],
      "rows \(range) of a tensor of shape \(shape)")
    let row = shape[0] == 0 ? 0 : count / shape[0]
    return Tensor(
      storage: storage, offset: offset + range.lowerBound * row,
      shape: Shape([range.count] + shape.dims.dropFirst()))
  }

  public func copy() -> Tensor {
    let result = Tensor(uninitialized: shape)
    result.base.update(from: base, count: count)
    return result
  }
}
