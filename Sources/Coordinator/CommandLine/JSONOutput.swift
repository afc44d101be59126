import Foundation

extension StandardOutput {
  /// Writes `value` as JSON text with sorted keys. It must not hold numbers that are not finite.
  public static func write(json value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try write(String(decoding: try encoder.encode(value), as: UTF8.self) + "\n")
  }
}
