// What the constructors make of their arguments.

extension PickleInterpreter {
  /// REDUCE and NEWOBJ.
  mutating func call(
    _ callee: PickleValue, _ tuple: PickleValue
  ) throws(PickleFailure) -> PickleValue {
    guard case .constructor(let number) = callee else { throw failure("a call of no constructor") }
    guard let arguments = heap.tuple(tuple) else { throw failure("arguments that are no tuple") }
    let constructor = PickleConstructor.all[number]
    func wrong() -> PickleFailure { failure("arguments that \(constructor.name) does not take") }
    switch constructor.kind {
    case .storage, .scalarType, .numpyArrayClass:
      throw failure("a call of \(constructor.name)", expected: "its name alone")
    case .rebuildTensor(let count):
      guard arguments.count >= count else { throw wrong() }
      return try tensor(arguments, typed: count == 7)
    case .rebuildParameter:
      guard let first = arguments.first, heap.detail(first, .tensor) != nil else { throw wrong() }
      return first
    case .rebuildFromType:
      guard arguments.count == 4, case .constructor(let inner) = arguments[0],
        case .rebuildTensor = PickleConstructor.all[inner].kind
      else { throw wrong() }
      return try call(arguments[0], arguments[2])
    case .dictionary: return try dictionary(arguments)
    case .namespace: return try make(.dictionary, detail: PickleNode.namespace)
    case .tuple:
      guard arguments.count == 1, heap.tuple(arguments[0]) != nil else { throw wrong() }
      return arguments[0]
    case .set:
      guard let first = arguments.first else { return try make(.set) }
      guard let items = heap.items(first, .list) else { throw wrong() }
      return try make(.set, items)
    case .encode: return try encoded(arguments)
    case .numpyArray: return try make(.emptyArray)
    case .numpyType:
      guard case .text(let span) = arguments.first else { throw wrong() }
      let name = try text(span)
      guard let type = NumPyType(name) else {
        throw failure("numpy type \(shown(name))", expected: "numbers or objects")
      }
      heap.numpyTypes.append(type)
      return try make(.numpyType, detail: heap.numpyTypes.count - 1)
    case .numpyScalar: return try numpyScalar(arguments)
    case .numpyFromBuffer:
      guard arguments.count == 4 else { throw wrong() }
      return try numpyTensor(
        data: arguments[0], type: arguments[1], dims: arguments[2],
        isColumnMajor: try isFortran(arguments[3]))
    case .inert: return try make(.inert, detail: number)
    }
  }

  /// BUILD: gives `target` its state.
  mutating func build(_ target: PickleValue, _ state: PickleValue) throws(PickleFailure) {
    guard case .node(let number) = target else { throw failure("a state for a plain value") }
    switch heap.nodes[number].kind {
    case .dictionary where heap.nodes[number].detail == PickleNode.namespace:
      guard let items = heap.items(state, .dictionary) else {
        throw failure("a namespace whose state is no dictionary")
      }
      try charge(16 * items.count)
      heap.append(items[...], to: number)
    // Attributes beside the items: `_metadata` of a state dictionary, hooks of a tensor.
    case .dictionary, .tensor, .inert: break
    case .numpyType:
      guard let items = heap.tuple(state), items.count > 1, case .text(let order) = items[1] else {
        throw failure("a state that is no numpy type's")
      }
      heap.numpyTypes[heap.nodes[number].detail].isBigEndian = try text(order) == ">"
    case .emptyArray: try buildArray(number, state)
    case .list, .tuple, .set, .storage, .objects:
      throw failure("a state for a \(heap.nodes[number].kind)")
    }
  }

  // MARK: PyTorch

  /// BINPERSID: ("storage", type, key, location, elements).
  mutating func storage(_ id: PickleValue) throws(PickleFailure) -> PickleValue {
    guard dialect == .torch else { throw failure("a reference to a storage") }
    guard let items = heap.tuple(id), items.count >= 5, case .text(let word) = items[0],
      try text(word) == "storage", case .constructor(let number) = items[1],
      case .storage(let dtype) = PickleConstructor.all[number].kind, case .text(let key) = items[2],
      case .int(let count) = items[4], count >= 0
    else { throw failure("a persistent id that is no storage's") }
    if items.count > 5 {
      guard case .none = items[5] else { throw failure("a view of a storage (PyTorch before 0.4)") }
    }
    let storage = PickleHeap.Storage(key: try text(key), dtype: dtype, count: count)
    guard storage.byteCount != nil else { throw failure("a storage of \(count) elements") }
    let name = "\(count) \(dtype?.rawValue ?? "") \(storage.key)"
    if let known = heap.storageNumbers[name] {
      return try make(.storage, detail: known)
    }
    try charge(200 + 2 * name.utf8.count)
    heap.storages.append(storage)
    heap.storageNumbers[name] = heap.storages.count - 1
    return try make(.storage, detail: heap.storages.count - 1)
  }

  /// (storage, offset, extents, strides, …); with a type of its own in version 3.
  private mutating func tensor(
    _ arguments: [PickleValue], typed: Bool
  ) throws(PickleFailure) -> PickleValue {
    guard let number = heap.detail(arguments[0], .storage), case .int(let offset) = arguments[1],
      offset >= 0
    else { throw failure("a tensor without storage and offset") }
    let storage = heap.storages[number]
    guard let dims = heap.naturals(arguments[2]), let strides = heap.naturals(arguments[3]),
      dims.count == strides.count, dims.count <= 64
    else {
      throw failure(
        "a tensor of storage \(shown(storage.key)) with unreadable extents or strides",
        expected: "as many strides as extents, none negative")
    }
    var dtype = storage.dtype
    if typed {
      guard case .constructor(let type) = arguments[6],
        case .scalarType(let own) = PickleConstructor.all[type].kind
      else { throw failure("a tensor whose element type is unreadable") }
      dtype = own
    }
    // Bits to apply when read: conjugate, negative.
    if let notes = arguments.dropFirst(typed ? 7 : 6).first,
      let items = heap.items(notes, .dictionary), !items.isEmpty
    {
      throw failure("a lazily conjugated or negated tensor")
    }
    guard let dtype else { throw failure("a tensor over an untyped storage") }
    let layout = StridedLayout(dims, strides: strides, offset: offset)
    let available = (storage.byteCount ?? 0) / dtype.width
    guard checkedByteCount(of: dims, width: dtype.width) != nil, let end = layout.end,
      end <= available
    else {
      throw failure(
        "a tensor \(dims) with strides \(strides) from element \(offset)",
        expected: "elements within the \(available) of storage \(shown(storage.key))")
    }
    return try add(PickleHeap.Tensor(source: .storage(number), dtype: dtype, layout: layout))
  }

  private mutating func add(_ tensor: PickleHeap.Tensor) throws(PickleFailure) -> PickleValue {
    try charge(240 + 16 * tensor.layout.dims.count)
    heap.tensors.append(tensor)
    return try make(.tensor, detail: heap.tensors.count - 1)
  }

  // MARK: Containers and bytes

  /// Empty, from a dictionary or a list of pairs, or behind defaultdict's factory.
  private mutating func dictionary(
    _ arguments: [PickleValue]
  ) throws(PickleFailure) -> PickleValue {
    var items: [PickleValue] = []
    if let first = arguments.first, let others = heap.items(first, .dictionary) {
      items = others
    } else if let first = arguments.first, let pairs = heap.items(first, .list) {
      for pair in pairs {
        guard let two = heap.items(pair, .list) ?? heap.tuple(pair), two.count == 2 else {
          throw failure("an item of a dictionary that is no pair")
        }
        items += two
      }
    }
    return try make(.dictionary, items)
  }

  /// Text whose code points are bytes.
  private mutating func encoded(_ arguments: [PickleValue]) throws(PickleFailure) -> PickleValue {
    guard arguments.count == 2, case .text(let span) = arguments[0],
      case .text(let codec) = arguments[1], ["latin1", "latin-1"].contains(try text(codec))
    else { throw failure("an encoding that is not latin1") }
    try charge(64 + span.range.count)
    var result: [UInt8] = []
    result.reserveCapacity(span.range.count)
    for scalar in try text(span).unicodeScalars {
      guard let byte = UInt8(exactly: scalar.value) else {
        throw failure("text beyond latin1 for bytes")
      }
      result.append(byte)
    }
    heap.decoded.append(result)
    return .decoded(heap.decoded.count - 1)
  }

  // MARK: numpy

  private func bytes(of value: PickleValue) -> (PickleHeap.Tensor.Source, Int)? {
    switch value {
    // Python 2 had one type for text and bytes: CIFAR-10's batches hold their pixels as «text».
    case .bytes(let span), .text(let span): (.pickle(span), span.range.count)
    case .decoded(let number): (.decoded(number), heap.decoded[number].count)
    default: nil
    }
  }

  private func isFortran(_ order: PickleValue) throws(PickleFailure) -> Bool {
    guard case .text(let span) = order else { throw failure("an array without an order") }
    return try text(span) == "F"
  }

  /// (version, shape, type, column-major, data)
  private mutating func buildArray(
    _ number: Int, _ state: PickleValue
  ) throws(PickleFailure) {
    guard let items = heap.tuple(state), items.count == 5, case .bool(let isFortran) = items[3]
    else { throw failure("a state that is no numpy array's") }
    if let type = heap.detail(items[2], .numpyType), heap.numpyTypes[type].element == .object {
      guard let objects = heap.items(items[4], .list) else {
        throw failure("an array of objects without a list of them")
      }
      try charge(16 * objects.count)
      heap.replace(number, by: PickleNode(kind: .objects, items: objects))
      return
    }
    let value = try numpyTensor(
      data: items[4], type: items[2], dims: items[1], isColumnMajor: isFortran)
    guard let tensor = heap.detail(value, .tensor) else { return }
    heap.replace(number, by: PickleNode(kind: .tensor, items: [], detail: tensor))
  }

  private mutating func numpyTensor(
    data: PickleValue, type: PickleValue, dims: PickleValue, isColumnMajor: Bool
  ) throws(PickleFailure) -> PickleValue {
    guard let (source, count) = bytes(of: data), let number = heap.detail(type, .numpyType),
      case .plain(let dtype) = heap.numpyTypes[number].element, let dims = heap.naturals(dims),
      dims.count <= 64
    else { throw failure("a numpy array without type, shape and bytes") }
    guard checkedByteCount(of: dims, width: dtype.width) == count else {
      throw failure("a numpy array \(dims) of \(dtype.rawValue) in \(count) bytes")
    }
    let layout = isColumnMajor ? StridedLayout(columnMajor: dims) : StridedLayout(rowMajor: dims)
    return try add(
      PickleHeap.Tensor(
        source: source, dtype: dtype, layout: layout,
        isBigEndian: heap.numpyTypes[number].isBigEndian))
  }

  private func numpyScalar(_ arguments: [PickleValue]) throws(PickleFailure) -> PickleValue {
    guard arguments.count == 2, let number = heap.detail(arguments[0], .numpyType),
      case .plain(let dtype) = heap.numpyTypes[number].element,
      let (source, count) = bytes(of: arguments[1]), count == dtype.width
    else { throw failure("a numpy scalar without type and bytes") }
    var raw: [UInt8]
    switch source {
    case .pickle(let span): raw = Array(bytes[span.range])
    case .decoded(let number): raw = heap.decoded[number]
    case .storage: raw = []
    }
    if heap.numpyTypes[number].isBigEndian { raw.reverse() }
    return raw.withUnsafeBytes { raw in
      switch dtype {
      case .bool: return .bool(raw[0] != 0)
      case .f64, .f32, .f16, .bf16:
        var value = 0.0
        widen(raw, dtype, into: &value)
        return .float(value)
      default:
        return integers(raw, dtype)?.first.map { .int($0) } ?? .none
      }
    }
  }
}

extension PickleNode {
  /// The detail of a dictionary that was an argparse.Namespace.
  static let namespace = 1
}
