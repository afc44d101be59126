/// Reads one pickle of a weights file. It knows the instructions of `PickleOpcode` and the
/// constructors of `PickleConstructor`, and builds values of `PickleHeap`: there is nothing in it
/// that could call, import or open anything. Whatever else a pickle asks for is refused by name.
struct PickleInterpreter {
  /// What a person id means: PyTorch's storages, or nothing at all.
  enum Dialect {
    case torch, numpy
  }

  let bytes: UnsafeRawBufferPointer
  let dialect: Dialect
  var heap: PickleHeap
  private var reader: ByteReader
  private var stack: [PickleValue] = []
  /// Heights of the stack at its marks.
  private var marks: [Int] = []
  private var memo: [PickleValue?] = []
  /// Where the instruction in work began.
  private(set) var place = 0

  /// - Parameter limit: bytes that the values may take.
  init(
    _ bytes: UnsafeRawBufferPointer, at start: Int = 0, _ dialect: Dialect, limit: Int
  ) {
    self.bytes = bytes
    self.dialect = dialect
    heap = PickleHeap(limit: limit)
    reader = ByteReader(bytes, at: start)
  }

  /// First byte behind the pickle, once it has run.
  var position: Int { reader.position }

  /// Runs to STOP.
  mutating func run() throws(PickleFailure) -> PickleValue {
    // Spans hold 32 bits.
    guard bytes.count < Int(UInt32.max) else { throw failure("a pickle of \(bytes.count) bytes") }
    while true {
      place = reader.position
      guard let code = reader.integer(UInt8.self) else { throw endOfBytes() }
      guard let opcode = PickleOpcode(rawValue: code) else {
        throw failure("unknown opcode \(code)", expected: "an instruction of pickle")
      }
      if opcode == .stop {
        // Values below the last are nobody's, as in Python.
        return try pop()
      }
      try execute(opcode)
    }
  }

  private mutating func execute(_ opcode: PickleOpcode) throws(PickleFailure) {
    switch opcode {
    case .proto:
      let version = try integer(UInt8.self)
      guard (1...5).contains(version) else {
        throw failure("protocol \(version)", expected: "1 to 5")
      }
    case .frame: _ = try integer(UInt64.self)
    case .mark:
      try charge(8)
      marks.append(stack.count)
    case .pop: _ = try pop()
    case .popMark: _ = try popToMark()
    case .dup:
      let value = try pop()
      try push(value)
      try push(value)
    case .binGet, .longBinGet, .binPut, .longBinPut, .memoize: try remember(opcode)
    case .global, .stackGlobal: try pushConstructor(opcode)
    case .reduce:
      let arguments = try pop()
      try push(call(try pop(), arguments))
    case .newObj:
      let arguments = try pop()
      try push(call(try pop(), arguments))
    case .build:
      let state = try pop()
      guard let target = stack.last else { throw emptyStack() }
      try build(target, state)
    case .binPersID: try push(storage(try pop()))
    case .none, .newTrue, .newFalse, .binInt, .binInt1, .binInt2, .long1, .long4, .binFloat:
      try push(number(opcode))
    case .binString, .shortBinString, .binUnicode, .shortBinUnicode, .binUnicode8, .binBytes,
      .shortBinBytes, .binBytes8, .byteArray8:
      try push(string(opcode))
    case .emptyList, .list, .append, .appends, .emptyTuple, .tuple, .tuple1, .tuple2, .tuple3,
      .emptyDict, .dict, .setItem, .setItems, .emptySet, .addItems, .frozenSet:
      try collect(opcode)
    case .stop, .int, .long, .float, .string, .unicode, .get, .put, .persID, .inst, .obj,
      .newObjEx, .ext1, .ext2, .ext4, .nextBuffer, .readOnlyBuffer:
      throw failure(
        "instruction \(opcode)", expected: "an instruction that weights files need")
    }
  }

  // MARK: Scalars and strings

  private mutating func number(_ opcode: PickleOpcode) throws(PickleFailure) -> PickleValue {
    switch opcode {
    case .newTrue: return .bool(true)
    case .newFalse: return .bool(false)
    case .binInt: return .int(Int(try integer(Int32.self)))
    case .binInt1: return .int(Int(try integer(UInt8.self)))
    case .binInt2: return .int(Int(try integer(UInt16.self)))
    case .long1: return try long(Int(try integer(UInt8.self)))
    case .long4: return try long(Int(try integer(Int32.self)))
    case .binFloat:
      let bits = try integer(UInt64.self).byteSwapped  // big-endian in the pickle
      return .float(Double(bitPattern: bits))
    default: return .none
    }
  }

  /// An integer of `count` little-endian bytes in two's complement.
  private mutating func long(_ count: Int) throws(PickleFailure) -> PickleValue {
    guard let range = reader.take(count) else { throw endOfBytes() }
    guard count <= 8 else { return .long(PickleSpan(range)) }
    guard count > 0 else { return .int(0) }
    var bits: UInt64 = bytes[range.upperBound - 1] >= 0x80 ? .max : 0
    for byte in bytes[range].reversed() { bits = bits << 8 | UInt64(byte) }
    return .int(Int(bitPattern: UInt(bits)))
  }

  private mutating func string(_ opcode: PickleOpcode) throws(PickleFailure) -> PickleValue {
    let count: UInt64
    switch opcode {
    case .shortBinString, .shortBinUnicode, .shortBinBytes: count = UInt64(try integer(UInt8.self))
    case .binString, .binUnicode, .binBytes: count = UInt64(try integer(UInt32.self))
    default: count = try integer(UInt64.self)
    }
    guard let length = Int(exactly: count), let range = reader.take(length) else {
      throw failure(
        "a string of \(count) bytes with \(reader.remaining) left",
        expected: "one inside the pickle")
    }
    switch opcode {
    case .binBytes, .shortBinBytes, .binBytes8, .byteArray8: return .bytes(PickleSpan(range))
    default: return .text(PickleSpan(range))
    }
  }

  // MARK: Lists, tuples, dictionaries, sets

  private mutating func collect(_ opcode: PickleOpcode) throws(PickleFailure) {
    switch opcode {
    case .emptyList: try push(try make(.list))
    case .emptyTuple: try push(try make(.tuple))
    case .emptyDict: try push(try make(.dictionary))
    case .emptySet: try push(try make(.set))
    case .list: try push(try make(.list, try popToMark()))
    case .tuple: try push(try make(.tuple, try popToMark()))
    case .frozenSet: try push(try make(.set, try popToMark()))
    case .tuple1: try push(try make(.tuple, try popLast(1)))
    case .tuple2: try push(try make(.tuple, try popLast(2)))
    case .tuple3: try push(try make(.tuple, try popLast(3)))
    case .dict: try push(try make(.dictionary, try pairs(try popToMark())))
    case .append: try extend(.list, try popLast(1))
    case .appends: try extend(.list, try popToMark())
    case .addItems: try extend(.set, try popToMark())
    case .setItem: try extend(.dictionary, try popLast(2))
    default: try extend(.dictionary, try pairs(try popToMark()))
    }
  }

  private func pairs(_ items: [PickleValue]) throws(PickleFailure) -> [PickleValue] {
    guard items.count.isMultiple(of: 2) else { throw failure("a key without a value") }
    return items
  }

  /// Adds `items` to the container on top of the stack.
  private mutating func extend(
    _ kind: PickleNode.Kind, _ items: [PickleValue]
  ) throws(PickleFailure) {
    guard case .node(let number) = stack.last, heap.nodes[number].kind == kind else {
      throw failure("items for something that is no \(kind)")
    }
    try charge(32 * items.count)
    heap.append(items[...], to: number)
  }

  // MARK: The memo

  private mutating func remember(_ opcode: PickleOpcode) throws(PickleFailure) {
    let index: Int
    switch opcode {
    case .binGet, .binPut: index = Int(try integer(UInt8.self))
    case .longBinGet, .longBinPut: index = Int(try integer(UInt32.self))
    default: index = memo.count
    }
    if opcode == .binGet || opcode == .longBinGet {
      guard index < memo.count, let value = memo[index] else {
        throw failure("memo entry \(index), which nothing has set")
      }
      try push(value)
      return
    }
    guard let value = stack.last else { throw emptyStack() }
    // Picklers count up, two bytes or more for each entry.
    guard index <= place else {
      throw failure("memo entry \(index) at byte \(place)", expected: "entries counted up")
    }
    if index >= memo.count {
      try charge(16 * (index + 1 - memo.count))
      memo.append(contentsOf: repeatElement(nil, count: index + 1 - memo.count))
    }
    memo[index] = value
  }

  // MARK: Constructors

  private mutating func pushConstructor(_ opcode: PickleOpcode) throws(PickleFailure) {
    let module: String
    let name: String
    if opcode == .global {
      guard let first = reader.take(before: 0x0A), let second = reader.take(before: 0x0A) else {
        throw endOfBytes()
      }
      (module, name) = (try text(PickleSpan(first)), try text(PickleSpan(second)))
    } else {
      guard case .text(let second) = try pop(), case .text(let first) = try pop() else {
        throw failure("a name that is no text")
      }
      (module, name) = (try text(first), try text(second))
    }
    guard let number = PickleConstructor.numbers["\(module).\(name)"] else {
      throw failure(
        "\(shown("\(module).\(name)")), which is not read and never called",
        expected: "tensors, numbers, text and containers of them")
    }
    try push(.constructor(number))
  }

  // MARK: Small helpers, also of the constructors

  func failure(_ found: String, expected: String? = nil) -> PickleFailure {
    PickleFailure(byte: place, found: found, expected: expected)
  }

  private func endOfBytes() -> PickleFailure { failure("the pickle ends in an instruction") }
  private func emptyStack() -> PickleFailure {
    failure("an instruction that finds the stack empty")
  }

  mutating func charge(_ bytes: Int) throws(PickleFailure) {
    guard heap.charge(bytes) else {
      throw failure("more objects than its size allows", expected: "the pickle of a weights file")
    }
  }

  /// A new node, accounted for.
  mutating func make(
    _ kind: PickleNode.Kind, _ items: [PickleValue] = [], detail: Int = 0
  ) throws(PickleFailure) -> PickleValue {
    try charge(80 + 16 * items.count)
    return heap.add(kind, items, detail: detail)
  }

  func text(_ span: PickleSpan) throws(PickleFailure) -> String {
    guard let text = String(validating: bytes[span.range], as: UTF8.self) else {
      throw failure("text that is not UTF-8")
    }
    return text
  }

  private mutating func integer<Value: FixedWidthInteger>(
    _ type: Value.Type
  ) throws(PickleFailure) -> Value {
    guard let value = reader.integer(type) else { throw endOfBytes() }
    return value
  }

  private mutating func push(_ value: PickleValue) throws(PickleFailure) {
    // Only the stack's height at its highest is memory, but values mostly stay.
    if stack.count == stack.capacity { try charge(16 * max(8, stack.count)) }
    stack.append(value)
  }

  private mutating func pop() throws(PickleFailure) -> PickleValue {
    guard stack.count > (marks.last ?? 0) else { throw emptyStack() }
    return stack.removeLast()
  }

  private mutating func popLast(_ count: Int) throws(PickleFailure) -> [PickleValue] {
    guard stack.count - (marks.last ?? 0) >= count else { throw emptyStack() }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popToMark() throws(PickleFailure) -> [PickleValue] {
    guard let height = marks.popLast() else { throw failure("no mark on the stack") }
    defer { stack.removeLast(stack.count - height) }
    return Array(stack[height...])
  }
}
