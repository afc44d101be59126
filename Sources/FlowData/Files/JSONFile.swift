import Diagnostics
import Foundation

/// Deterministic JSON text: sorted keys, one final newline.
func canonicalJSON(_ value: some Encodable) throws -> [UInt8] {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
}

/// Reads a JSON file with a `format` number, strictly.
func readJSON<Value: Decodable>(_ path: String, format: Int) throws -> Value {
  try readJSON(path, formats: format...format)
}

/// Reads a JSON file with one of several `format` numbers, strictly.
func readJSON<Value: Decodable>(_ path: String, formats: ClosedRange<Int>) throws -> Value {
  let file = try MappedFile(path)
  return try withExtendedLifetime(file) { try decodeJSON(file.bytes, path, formats) }
}

private func decodeJSON<Value: Decodable>(
  _ bytes: UnsafeRawBufferPointer, _ path: String, _ formats: ClosedRange<Int>
) throws -> Value {
  let root: JSONValue
  do {
    root = try JSONValue(parsing: bytes)
  } catch {
    throw UserError(.badData, path, at: "byte \(error.byte)", found: error.reason, expected: "JSON")
  }
  guard let format = root["format"]?.int, formats.contains(format) else {
    throw UserError(
      .badData, path, at: "format", found: root["format"]?.int.map(String.init) ?? "no number",
      expected: formats.map(String.init).joined(separator: " or "),
      advice: "it was written by another version of this program")
  }
  do {
    return try JSONDecoder().decode(Value.self, from: Data(bytes))
  } catch DecodingError.keyNotFound(let key, _) {
    throw UserError(.badData, path, at: key.stringValue, found: "missing")
  } catch DecodingError.typeMismatch(_, let context) {
    throw UserError(
      .badData, path, at: context.codingPath.map(\.stringValue).joined(separator: "."),
      found: "a value of the wrong kind")
  } catch {
    throw UserError(.badData, path, found: "fields that do not fit together")
  }
}

/// `value` in decimal with at least `width` digits.
func digits(_ value: Int, _ width: Int) -> String {
  let text = String(value)
  return String(repeating: "0", count: max(0, width - text.count)) + text
}
