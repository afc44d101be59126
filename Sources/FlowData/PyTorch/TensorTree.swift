/// The tensors of a pickled object under their paths, and the rest of it as JSON.
struct TensorTree {
  /// In the order of the pickle.
  private(set) var names: [String] = []
  /// Name → number in `PickleHeap.tensors`.
  private(set) var tensors: [String: Int] = [:]
  /// The whole object with `"<tensor>"` for each tensor; nil where there is nothing but one tensor
  /// or a dictionary of tensors.
  private(set) var scalars: String?

  /// Deeper than any checkpoint nests.
  static let maximumDepth = 64
  /// Bytes that all names may take, and `scalars`. What a pickle shares, a tree repeats: 60 levels
  /// of pairs are 2^60 leaves.
  static func maximumText(_ pickle: Int) -> Int { min(8 << 20, (64 << 10) + 16 * pickle) }

  /// - Parameters:
  ///   - bytes: the pickle.
  ///   - bareName: of the tensor, where the object is one.
  init(
    _ heap: PickleHeap, _ root: PickleValue, _ bytes: UnsafeRawBufferPointer, bareName: String
  ) throws(PickleFailure) {
    var walk = Walk(heap: heap, bytes: bytes, maximumText: TensorTree.maximumText(bytes.count))
    // An array of one object, as numpy.save makes of a dictionary, is that object.
    var root = root
    if let objects = heap.items(root, .objects), objects.count == 1 { root = objects[0] }
    if heap.detail(root, .tensor) != nil {
      try walk.leaf(root, bareName)
    } else {
      try walk.visit(root, "", depth: 0)
      if !TensorTree.isPlain(root, heap) { scalars = walk.json }
    }
    (names, tensors) = (walk.names, walk.tensors)
  }

  private static func isPlain(_ root: PickleValue, _ heap: PickleHeap) -> Bool {
    guard let items = heap.items(root, .dictionary) else { return false }
    return stride(from: 1, to: items.count, by: 2).allSatisfy {
      heap.detail(items[$0], .tensor) != nil
    }
  }

  private struct Walk {
    let heap: PickleHeap
    let bytes: UnsafeRawBufferPointer
    var names: [String] = []
    var tensors: [String: Int] = [:]
    let maximumText: Int
    var json = ""
    var nameBytes = 0

    private func failure(_ found: String, expected: String? = nil) -> PickleFailure {
      PickleFailure(byte: bytes.count, found: found, expected: expected)
    }

    mutating func visit(
      _ value: PickleValue, _ path: String, depth: Int
    ) throws(PickleFailure) {
      guard case .node(let number) = value else { return try leaf(value, path) }
      guard depth <= TensorTree.maximumDepth else {
        throw failure("more than \(TensorTree.maximumDepth) levels deep")
      }
      let node = heap.nodes[number]
      switch node.kind {
      case .list, .tuple, .set, .objects:
        try write("[")
        for (index, item) in node.items.enumerated() {
          if index > 0 { try write(", ") }
          try visit(item, joined(path, "\(index)"), depth: depth + 1)
        }
        try write("]")
      case .dictionary:
        try write("{")
        for index in stride(from: 0, to: node.items.count, by: 2) {
          if index > 0 { try write(", ") }
          let key = try key(node.items[index])
          try write(quoted(key))
          try write(": ")
          try visit(node.items[index + 1], joined(path, key), depth: depth + 1)
        }
        try write("}")
      case .tensor, .storage, .numpyType, .emptyArray, .inert: try leaf(value, path)
      }
    }

    mutating func leaf(_ value: PickleValue, _ path: String) throws(PickleFailure) {
      if let number = heap.detail(value, .tensor) {
        nameBytes += path.utf8.count
        guard nameBytes <= maximumText else {
          throw failure("names of more than \(maximumText) bytes")
        }
        guard tensors.updateValue(number, forKey: path) == nil else {
          throw failure("two tensors that are called \(shown(path))")
        }
        names.append(path)
      }
      try write(json(of: value))
    }

    private func joined(_ path: String, _ component: String) -> String {
      path.isEmpty ? component : path + "/" + component
    }

    private mutating func write(_ text: String) throws(PickleFailure) {
      json += text
      guard json.utf8.count <= maximumText else {
        throw failure("more than \(maximumText) bytes beside the tensors")
      }
    }

    private func text(_ span: PickleSpan) throws(PickleFailure) -> String {
      guard let text = String(validating: bytes[span.range], as: UTF8.self) else {
        throw PickleFailure(byte: Int(span.start), found: "text that is not UTF-8")
      }
      return text
    }

    /// A dictionary's key as a part of a path.
    private func key(_ value: PickleValue) throws(PickleFailure) -> String {
      switch value {
      case .text(let span): return try text(span)
      case .int(let number): return "\(number)"
      case .bool(let flag): return "\(flag)"
      case .float(let number): return "\(number)"
      case .none: return "None"
      case .constructor(let number): return "<\(PickleConstructor.all[number].name)>"
      case .long, .bytes, .decoded, .node: throw failure("a dictionary's key that is no text")
      }
    }

    /// A value without items.
    private func json(of value: PickleValue) throws(PickleFailure) -> String {
      switch value {
      case .none: return "null"
      case .bool(let flag): return "\(flag)"
      case .int(let number): return "\(number)"
      case .float(let number): return number.isFinite ? "\(number)" : "\"\(number)\""
      case .text(let span): return quoted(try text(span))
      case .long(let span): return "\"\(hexadecimal(span))\""
      case .bytes, .decoded: return "\"<bytes>\""
      case .constructor(let number): return "\"<\(PickleConstructor.all[number].name)>\""
      case .node(let number):
        let node = heap.nodes[number]
        return node.kind == .inert
          ? "\"<\(PickleConstructor.all[node.detail].name)>\"" : "\"<\(node.kind)>\""
      }
    }

    /// An integer beyond 64 bits as its two's complement: JSON's readers would round it.
    private func hexadecimal(_ span: PickleSpan) -> String {
      let digits = bytes[span.range].reversed().map { byte in
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }
      return "0x" + digits.joined()
    }
  }
}
