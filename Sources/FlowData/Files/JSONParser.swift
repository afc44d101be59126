/// Where and why a text is not the JSON that is read here.
public struct JSONSyntaxError: Error, Equatable, Sendable {
  /// Offset of the offending byte from the start of the text.
  public let byte: Int
  public let reason: String
}

extension JSONValue {
  /// Parses `bytes` strictly: one value, UTF-8, no repeated keys, nesting bounded by
  /// `maximumDepth` (a text of a million brackets must not exhaust the stack), lists and objects
  /// by `maximumCount` members, and the whole text by `maximumValues` values: a parsed value takes
  /// up to twenty times the memory of its text.
  public init(
    parsing bytes: UnsafeRawBufferPointer, maximumDepth: Int = 64, maximumCount: Int = .max,
    maximumValues: Int = .max
  ) throws(JSONSyntaxError) {
    var parser = JSONParser(
      bytes, maximumDepth: maximumDepth, maximumCount: maximumCount, maximumValues: maximumValues)
    self = try parser.document()
  }

  public init(parsing text: String, maximumDepth: Int = 64) throws(JSONSyntaxError) {
    let bytes = Array(text.utf8)
    let result: Result<JSONValue, JSONSyntaxError> = bytes.withUnsafeBytes { raw in
      do throws(JSONSyntaxError) {
        return .success(try JSONValue(parsing: raw, maximumDepth: maximumDepth))
      } catch {
        return .failure(error)
      }
    }
    self = try result.get()
  }
}

/// Recursive descent over the bytes. Foundation's parser keeps the last of two equal keys without
/// a word, which in a weights file means two readers see different tensors.
private struct JSONParser {
  private let bytes: UnsafeRawBufferPointer
  private let maximumDepth: Int
  private let maximumCount: Int
  private let maximumValues: Int
  private var values = 0
  private var at = 0
  private var depth = 0

  init(
    _ bytes: UnsafeRawBufferPointer, maximumDepth: Int, maximumCount: Int, maximumValues: Int
  ) {
    self.bytes = bytes
    self.maximumDepth = maximumDepth
    self.maximumCount = maximumCount
    self.maximumValues = maximumValues
  }

  mutating func document() throws(JSONSyntaxError) -> JSONValue {
    let result = try value()
    skipSpace()
    guard at == bytes.count else { throw failure("text after the end of the value") }
    return result
  }

  private func failure(_ reason: String, at byte: Int? = nil) -> JSONSyntaxError {
    JSONSyntaxError(byte: byte ?? at, reason: reason)
  }

  private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { at += 1 }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard next == byte else { return false }
    at += 1
    return true
  }

  private mutating func value() throws(JSONSyntaxError) -> JSONValue {
    skipSpace()
    guard let byte = next else { throw failure("the text ends where a value should be") }
    values += 1
    guard values <= maximumValues else { throw failure("more than \(maximumValues) values") }
    switch byte {
    case UInt8(ascii: "{"): return .object(try object())
    case UInt8(ascii: "["): return .array(try array())
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw failure("byte \(byte) begins no value")
    }
  }

  private mutating func word(_ text: StaticString, _ value: JSONValue) throws(JSONSyntaxError)
    -> JSONValue
  {
    for i in 0..<text.utf8CodeUnitCount {
      guard take(text.utf8Start[i]) else { throw failure("expected \(text)") }
    }
    return value
  }

  private mutating func enter() throws(JSONSyntaxError) {
    depth += 1
    guard depth <= maximumDepth else { throw failure("more than \(maximumDepth) levels deep") }
    at += 1
  }

  private func checkRoom(_ count: Int) throws(JSONSyntaxError) {
    guard count < maximumCount else { throw failure("more than \(maximumCount) members") }
  }

  private mutating func object() throws(JSONSyntaxError) -> [String: JSONValue] {
    try enter()
    defer { depth -= 1 }
    var members: [String: JSONValue] = [:]
    skipSpace()
    if take(UInt8(ascii: "}")) { return members }
    while true {
      skipSpace()
      let start = at
      guard next == UInt8(ascii: "\"") else { throw failure("expected a quoted key") }
      let key = try string()
      skipSpace()
      guard take(UInt8(ascii: ":")) else { throw failure("expected : after a key") }
      let member = try value()
      guard members.updateValue(member, forKey: key) == nil else {
        throw failure("key \(shown(key)) appears twice", at: start)
      }
      skipSpace()
      if take(UInt8(ascii: "}")) { return members }
      guard take(UInt8(ascii: ",")) else { throw failure("expected , or } in an object") }
      try checkRoom(members.count)
    }
  }

  private mutating func array() throws(JSONSyntaxError) -> [JSONValue] {
    try enter()
    defer { depth -= 1 }
    var elements: [JSONValue] = []
    skipSpace()
    if take(UInt8(ascii: "]")) { return elements }
    while true {
      elements.append(try value())
      skipSpace()
      if take(UInt8(ascii: "]")) { return elements }
      guard take(UInt8(ascii: ",")) else { throw failure("expected , or ] in a list") }
      try checkRoom(elements.count)
    }
  }

  private mutating func string() throws(JSONSyntaxError) -> String {
    let start = at
    at += 1
    var text = ""
    while true {
      let run = at
      while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 {
        at += 1
      }
      guard let part = String(validating: bytes[run..<at], as: UTF8.self) else {
        throw failure("a string is not valid UTF-8", at: run)
      }
      text = text.isEmpty ? part : text + part
      guard let byte = next else { throw failure("a string does not end", at: start) }
      at += 1
      if byte == UInt8(ascii: "\"") { return text }
      guard byte == UInt8(ascii: "\\") else {
        throw failure("a control character stands in a string", at: at - 1)
      }
      text.unicodeScalars.append(try escape())
    }
  }

  private mutating func escape() throws(JSONSyntaxError) -> Unicode.Scalar {
    guard let byte = next else { throw failure("a string ends in an escape") }
    at += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): return try codePoint()
    default: throw failure("unknown escape", at: at - 1)
    }
  }

  /// `\uXXXX`, or the two halves of a surrogate pair.
  private mutating func codePoint() throws(JSONSyntaxError) -> Unicode.Scalar {
    let start = at
    let first = try fourDigits()
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard first < 0xDC00, take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
      throw failure("half of a surrogate pair", at: start)
    }
    let second = try fourDigits()
    guard (0xDC00...0xDFFF).contains(second),
      let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    else { throw failure("half of a surrogate pair", at: start) }
    return scalar
  }

  private mutating func fourDigits() throws(JSONSyntaxError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80
      else { throw failure("expected four hexadecimal digits") }
      value = value << 4 | UInt32(digit)
      at += 1
    }
    return value
  }

  private mutating func digits() throws(JSONSyntaxError) {
    guard let byte = next, isDigit(byte) else { throw failure("expected a digit") }
    while let byte = next, isDigit(byte) { at += 1 }
  }

  private mutating func number() throws(JSONSyntaxError) -> JSONValue {
    let start = at
    var isInteger = true
    _ = take(UInt8(ascii: "-"))
    if !take(UInt8(ascii: "0")) {
      try digits()
    } else if let byte = next, isDigit(byte) {
      throw failure("a number begins with 0")
    }
    if take(UInt8(ascii: ".")) {
      isInteger = false
      try digits()
    }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      isInteger = false
      if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
      try digits()
    }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    if isInteger, let value = Int(text) { return .integer(value) }
    guard let value = Double(text), value.isFinite else {
      throw failure("a number is beyond the range of a double", at: start)
    }
    return .number(value)
  }

  private func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
  }
}

/// A name from a file, fit for a message: quoted, control characters escaped, at most 80 long.
func shown(_ name: String) -> String {
  let head = name.prefix(80)
  return String(reflecting: String(head)) + (head.endIndex == name.endIndex ? "" : "…")
}
