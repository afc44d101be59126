import Diagnostics

/// The header of a safetensors file, with all its claims checked against the file.
struct SafetensorsHeader {
  /// In the order of their data; empty tensors at one place in the order of their names.
  let names: [String]
  let entries: [String: SafetensorsFile.Entry]
  let metadata: [String: String]

  /// The limit that the format's own library sets.
  static let maximumLength = 100_000_000
  /// Object, tensor, list: nothing in a header nests deeper.
  static let maximumDepth = 3
  /// Far above any network, and low enough that a header cannot fill memory.
  static let maximumTensors = 60_000
  /// Of a header: a tensor has about ten.
  static let maximumValues = 600_000

  init(_ file: MappedFile) throws {
    let start = try SafetensorsHeader.dataStart(file)
    let text = UnsafeRawBufferPointer(rebasing: file.bytes[8..<start])
    let root: JSONValue
    do {
      root = try JSONValue(
        parsing: text, maximumDepth: SafetensorsHeader.maximumDepth,
        maximumCount: SafetensorsHeader.maximumTensors,
        maximumValues: SafetensorsHeader.maximumValues)
    } catch {
      throw UserError(
        .badData, file.path, at: "byte \(8 + error.byte)", found: error.reason,
        expected: "a safetensors header")
    }
    guard let members = root.object else {
      throw UserError(
        .badData, file.path, at: "byte 8", found: "\(root.kind)", expected: "a header object")
    }
    metadata = try SafetensorsHeader.strings(members["__metadata__"], file.path)
    var entries: [String: SafetensorsFile.Entry] = [:]
    for (name, member) in members where name != "__metadata__" {
      entries[name] = try SafetensorsHeader.entry(name, member, start, file)
    }
    names = entries.sorted {
      ($0.value.range.lowerBound, $0.value.range.upperBound, $0.key)
        < ($1.value.range.lowerBound, $1.value.range.upperBound, $1.key)
    }.map(\.key)
    self.entries = entries
    try SafetensorsHeader.checkCover(names.map { ($0, entries[$0]!.range) }, from: start, file)
  }

  /// First byte of the data: 8 + the length of the header.
  private static func dataStart(_ file: MappedFile) throws -> Int {
    let bytes = file.bytes
    guard bytes.count >= 8 else {
      throw UserError(
        .badData, file.path, found: "\(bytes.count) bytes",
        expected: "at least the 8 bytes of a header length")
    }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(maximumLength) else {
      throw UserError(
        .badData, file.path, at: "byte 0", found: "header of \(length) bytes",
        expected: "at most \(maximumLength)")
    }
    guard Int(length) <= bytes.count - 8 else {
      throw UserError(
        .badData, file.path, at: "byte 0",
        found: "header of \(length) bytes in a file of \(bytes.count)",
        expected: "a header that ends inside the file", advice: "the file may be cut off")
    }
    guard length > 0, bytes[8] == UInt8(ascii: "{") else {
      throw UserError(
        .badData, file.path, at: "byte 8", found: length == 0 ? "an empty header" : "no {",
        expected: "a JSON object", advice: "this may be another kind of file")
    }
    return 8 + Int(length)
  }

  private static func strings(_ value: JSONValue?, _ path: String) throws -> [String: String] {
    guard let value else { return [:] }
    func failure(_ found: String) -> UserError {
      UserError(.badData, path, at: "__metadata__", found: found, expected: "strings")
    }
    guard let members = value.object else { throw failure(value.kind) }
    return try members.reduce(into: [:]) { result, member in
      guard let text = member.value.string else {
        throw failure("\(member.value.kind) under \(shown(member.key))")
      }
      result[member.key] = text
    }
  }

  private static func entry(
    _ name: String, _ member: JSONValue, _ start: Int, _ file: MappedFile
  ) throws -> SafetensorsFile.Entry {
    func failure(_ found: String, expected: String) -> UserError {
      UserError(
        .badData, file.path, at: "tensor \(shown(name))", found: found, expected: expected)
    }
    guard let typeName = member["dtype"]?.string else {
      throw failure("no dtype", expected: "a type name")
    }
    guard let type = SafetensorsType(rawValue: typeName) else {
      throw failure(
        "dtype \(shown(typeName))",
        expected: "one of \(SafetensorsType.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    let dims = try naturals(member["shape"])
    guard let dims else { throw failure("no shape of whole numbers from 0", expected: "a shape") }
    guard let offsets = try naturals(member["data_offsets"]), offsets.count == 2 else {
      throw failure("no pair of data_offsets from 0", expected: "[begin, end]")
    }
    guard offsets[0] <= offsets[1], offsets[1] <= file.bytes.count - start else {
      throw failure(
        "data_offsets \(offsets)",
        expected: "a range within \(file.bytes.count - start) bytes of data")
    }
    guard let size = byteCount(of: dims, width: type.width), size == offsets[1] - offsets[0] else {
      throw failure(
        "shape \(dims) of \(typeName) in \(offsets[1] - offsets[0]) bytes",
        expected: "as many bytes as the shape takes")
    }
    return SafetensorsFile.Entry(
      dtype: type, dims: dims, range: start + offsets[0]..<start + offsets[1])
  }

  private static func naturals(_ value: JSONValue?) throws -> [Int]? {
    guard let elements = value?.array else { return nil }
    var result: [Int] = []
    for element in elements {
      // 2.0 is not a whole number here, as in the format's own library.
      guard case .integer(let number) = element, number >= 0 else { return nil }
      result.append(number)
    }
    return result
  }

  private static func byteCount(of dims: [Int], width: Int) -> Int? {
    var result = 1
    for factor in dims + [width] {
      let (product, overflow) = result.multipliedReportingOverflow(by: factor)
      if overflow { return nil }
      result = product
    }
    return result
  }

  /// Every byte of data belongs to exactly one tensor.
  private static func checkCover(
    _ ranges: [(name: String, range: Range<Int>)], from start: Int, _ file: MappedFile
  ) throws {
    var end = start
    for (name, range) in ranges {
      guard range.lowerBound == end else {
        throw UserError(
          .badData, file.path, at: "tensor \(shown(name))",
          found: "data at byte \(range.lowerBound), "
            + (range.lowerBound < end ? "inside" : "beyond") + " the tensor before it",
          expected: "data at byte \(end)")
      }
      end = range.upperBound
    }
    guard end == file.bytes.count else {
      throw UserError(
        .badData, file.path, at: "byte \(end)",
        found: "\(file.bytes.count - end) bytes that belong to no tensor",
        expected: "the end of the file")
    }
  }
}
