import Foundation

extension StandardOutput {
  /// Writes `value` as JSON text with sorted keys; numbers that are not finite become the
  /// strings inf, -inf and nan.
  public static func write(json value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    try write(String(decoding: try encoder.encode(value), as: UTF8.self) + "\n")
  }
}
