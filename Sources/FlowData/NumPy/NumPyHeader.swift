import Diagnostics

/// The header of a `.npy` file (NEP 1): magic, version, and a Python dictionary literal with type,
/// order and shape. The literal is parsed as the one form that numpy writes, never evaluated.
struct NumPyHeader {
  let type: NumPyType
  let isColumnMajor: Bool
  let dims: [Int]
  /// First byte of the data.
  let dataStart: Int

  static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
  /// numpy itself refuses longer ones.
  static let maximumLength = 10_000

  static func isNumPy(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.starts(with: magic) }

  /// - Parameter member: what the array is called in messages, behind its byte.
  init(_ bytes: UnsafeRawBufferPointer, path: String, member: String = "") throws {
    func failure(_ byte: Int, _ found: String, _ expected: String) -> UserError {
      UserError(.badData, path, at: "byte \(byte)\(member)", found: found, expected: expected)
    }
    var reader = ByteReader(bytes)
    guard NumPyHeader.isNumPy(bytes), reader.take(NumPyHeader.magic.count) != nil,
      let major = reader.integer(UInt8.self), reader.integer(UInt8.self) != nil
    else { throw failure(0, "no magic number of numpy", "a .npy array") }
    guard (1...3).contains(major) else {
      throw failure(6, "format version \(major)", "1, 2 or 3")
    }
    let announced =
      major == 1
      ? reader.integer(UInt16.self).map { Int($0) } : reader.integer(UInt32.self).map { Int($0) }
    guard let length = announced, length <= NumPyHeader.maximumLength,
      let range = reader.take(length)
    else {
      throw failure(
        8, "a header of \(announced.map { "\($0)" } ?? "no") bytes",
        "one of at most \(NumPyHeader.maximumLength) inside the file")
    }
    var literal = DictionaryLiteral(ByteReader(bytes, at: range.lowerBound), end: range.upperBound)
    guard let fields = literal.parse() else {
      throw failure(
        literal.position, "a header that is not numpy's",
        "{'descr': …, 'fortran_order': …, 'shape': …}")
    }
    guard let type = NumPyType(fields.descr) else {
      throw failure(
        range.lowerBound, "element type \(shown(fields.descr))", "numbers, or one object")
    }
    (self.type, isColumnMajor, dims) = (type, fields.isColumnMajor, fields.dims)
    dataStart = range.upperBound
  }

  /// The layout of the elements, which take all bytes from `dataStart` to `end`.
  func layout(
    _ dtype: SafetensorsType, end: Int, path: String, member: String = ""
  ) throws -> StridedLayout {
    guard checkedByteCount(of: dims, width: dtype.width) == end - dataStart else {
      throw UserError(
        .badData, path, at: "byte \(dataStart)\(member)",
        found: "\(end - dataStart) bytes for shape \(dims) of \(dtype.rawValue)",
        expected: "as many as the shape takes")
    }
    return isColumnMajor ? StridedLayout(columnMajor: dims) : StridedLayout(rowMajor: dims)
  }
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }` and padding, keys in any order.
private struct DictionaryLiteral {
  typealias Fields = (descr: String, isColumnMajor: Bool, dims: [Int])

  private var reader: ByteReader
  private let end: Int

  init(_ reader: ByteReader, end: Int) { (self.reader, self.end) = (reader, end) }

  var position: Int { reader.position }

  /// nil for anything else.
  mutating func parse() -> Fields? {
    var descr: String?
    var isColumnMajor: Bool?
    var dims: [Int]?
    guard take("{") else { return nil }
    while !take("}") {
      guard let key = text(), take(":") else { return nil }
      switch key {
      case "descr" where descr == nil: descr = text()
      case "fortran_order" where isColumnMajor == nil: isColumnMajor = truth()
      case "shape" where dims == nil: dims = tuple()
      default: return nil
      }
      if !take(",") && next != UInt8(ascii: "}") { return nil }
    }
    guard next == nil, let descr, let isColumnMajor, let dims else { return nil }
    return (descr, isColumnMajor, dims)
  }

  /// The next byte that is no space.
  private var next: UInt8? {
    mutating get {
      while position < end {
        let byte = reader.bytes[position]
        guard byte == 0x20 || byte == 0x0A else { return byte }
        _ = reader.take(1)
      }
      return nil
    }
  }

  private mutating func take(_ word: StaticString) -> Bool {
    guard next != nil, end - position >= word.utf8CodeUnitCount else { return false }
    for i in 0..<word.utf8CodeUnitCount where reader.bytes[position + i] != word.utf8Start[i] {
      return false
    }
    _ = reader.take(word.utf8CodeUnitCount)
    return true
  }

  private mutating func text() -> String? {
    guard let quote = next, quote == 0x27 || quote == 0x22, reader.take(1) != nil,
      let range = reader.take(before: quote), range.upperBound < end
    else { return nil }
    return String(validating: reader.bytes[range], as: UTF8.self)
  }

  private mutating func truth() -> Bool? { take("True") ? true : take("False") ? false : nil }

  private mutating func tuple() -> [Int]? {
    guard take("(") else { return nil }
    var result: [Int] = []
    while !take(")") {
      guard result.count < 64, let number = natural() else { return nil }
      result.append(number)
      if !take(",") && next != UInt8(ascii: ")") { return nil }
    }
    return result
  }

  private mutating func natural() -> Int? {
    guard next != nil else { return nil }
    let start = position
    while position < end, (0x30...0x39).contains(reader.bytes[position]) { _ = reader.take(1) }
    return Int(String(decoding: reader.bytes[start..<position], as: UTF8.self))
  }
}
