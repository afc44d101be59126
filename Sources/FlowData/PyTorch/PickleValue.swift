/// Why a pickle was given up, and at which of its bytes.
struct PickleFailure: Error {
  let byte: Int
  let found: String
  var expected: String?
}

/// A run of bytes inside the pickle.
struct PickleSpan: Equatable {
  let start: UInt32
  let count: UInt32

  init(_ range: Range<Int>) {
    (start, count) = (UInt32(range.lowerBound), UInt32(range.count))
  }

  var range: Range<Int> { Int(start)..<Int(start) + Int(count) }
}

/// One value of a pickle. Whatever can be shared or nest lives in the heap under a number: copies
/// cost nothing, cycles and 200,000 nested lists are only numbers, and no release recurses.
enum PickleValue {
  case none
  case bool(Bool)
  case int(Int)
  /// An integer beyond 64 bits, little-endian two's complement.
  case long(PickleSpan)
  case float(Double)
  /// UTF-8, not yet validated.
  case text(PickleSpan)
  case bytes(PickleSpan)
  /// Bytes that the pickle spells as text, decoded: a number of `PickleHeap.decoded`.
  case decoded(Int)
  /// A number of `PickleConstructor.all`.
  case constructor(Int)
  /// A number of `PickleHeap.nodes`.
  case node(Int)
}

struct PickleNode {
  enum Kind {
    case list, tuple, set
    /// Items are key, value, key, value ….
    case dictionary
    /// `detail` numbers `PickleHeap.tensors`, `.storages`, `.numpyTypes`.
    case tensor, storage, numpyType
    /// A numpy array before its BUILD; `detail` is unused.
    case emptyArray
    /// A numpy array of objects: items, shape forgotten.
    case objects
    /// An instance that is kept as its class's name alone: `detail` numbers the constructors.
    case inert
  }

  var kind: Kind
  var items: [PickleValue]
  var detail = 0
}

/// Everything that a pickle builds. Its size is accounted for as it grows.
struct PickleHeap {
  struct Storage {
    /// The file's name for it.
    let key: String
    /// nil for an untyped storage, which counts bytes.
    let dtype: SafetensorsType?
    /// Elements, or bytes where untyped.
    let count: Int

    var byteCount: Int? {
      let (bytes, overflow) = count.multipliedReportingOverflow(by: dtype?.width ?? 1)
      return overflow ? nil : bytes
    }
  }

  struct Tensor {
    enum Source {
      case storage(Int)
      case pickle(PickleSpan)
      case decoded(Int)
    }

    let source: Source
    let dtype: SafetensorsType
    let layout: StridedLayout
    /// numpy only.
    var isBigEndian = false
  }

  private(set) var nodes: [PickleNode] = []
  var storages: [Storage] = []
  var storageNumbers: [String: Int] = [:]
  var tensors: [Tensor] = []
  var numpyTypes: [NumPyType] = []
  var decoded: [[UInt8]] = []
  /// Estimated bytes of all values so far.
  private(set) var size = 0
  private let limit: Int

  /// - Parameter limit: bytes that the values may take.
  init(limit: Int) { self.limit = limit }

  /// Accounts for `bytes` more; false if that is too much.
  mutating func charge(_ bytes: Int) -> Bool {
    size += bytes
    return size <= limit
  }

  mutating func add(
    _ kind: PickleNode.Kind, _ items: [PickleValue] = [], detail: Int = 0
  ) -> PickleValue {
    nodes.append(PickleNode(kind: kind, items: items, detail: detail))
    return .node(nodes.count - 1)
  }

  mutating func append(_ items: ArraySlice<PickleValue>, to node: Int) {
    nodes[node].items.append(contentsOf: items)
  }

  mutating func replace(_ node: Int, by new: PickleNode) { nodes[node] = new }

  /// The items of a tuple.
  func tuple(_ value: PickleValue) -> [PickleValue]? { items(value, .tuple) }

  func items(_ value: PickleValue, _ kind: PickleNode.Kind) -> [PickleValue]? {
    guard case .node(let number) = value, nodes[number].kind == kind else { return nil }
    return nodes[number].items
  }

  /// The detail of a node of `kind`.
  func detail(_ value: PickleValue, _ kind: PickleNode.Kind) -> Int? {
    guard case .node(let number) = value, nodes[number].kind == kind else { return nil }
    return nodes[number].detail
  }

  /// A tuple of integers from 0: extents or strides.
  func naturals(_ value: PickleValue) -> [Int]? {
    guard let items = tuple(value) else { return nil }
    var result: [Int] = []
    for item in items {
      guard case .int(let number) = item, number >= 0 else { return nil }
      result.append(number)
    }
    return result
  }
}
