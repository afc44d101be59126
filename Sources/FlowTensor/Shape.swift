/// Extents of a row-major tensor, outermost first.
public struct Shape: Hashable, Sendable, CustomStringConvertible, ExpressibleByArrayLiteral {
  public let dims: [Int]
  /// Number of elements; 1 for a scalar.
  public let count: Int

  public init(_ dims: [Int]) {
    precondition(dims.allSatisfy { $0 >= 0 }, "negative extent in shape \(dims)")
    self.dims = dims
    self.count = dims.reduce(1, *)
  }

  public init(arrayLiteral dims: Int...) { self.init(dims) }

  public var rank: Int { dims.count }

  /// Negative axes count from the innermost: `shape[-1]` is the last extent.
  public subscript(_ axis: Int) -> Int { axis < 0 ? dims[dims.count + axis] : dims[axis] }

  /// Product of all extents but the last: the number of rows of the token matrix `[…, D]`.
  public var rows: Int { dims.isEmpty ? 1 : dims.dropLast().reduce(1, *) }

  public var description: String { "[" + dims.map(String.init).joined(separator: ", ") + "]" }
}
