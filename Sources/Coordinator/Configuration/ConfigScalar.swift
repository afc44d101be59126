import Diagnostics

/// Text to numbers and booleans, by narrower rules than YAML's: `on` is no boolean and `010` is no
/// eight, so that nothing silently becomes something else.
enum ConfigScalar {
  static func boolean(_ text: String) -> Bool? {
    switch text {
    case "true": true
    case "false": false
    default: nil
    }
  }

  /// A sign, then decimal digits without leading zeros.
  static func integer<I: FixedWidthInteger>(_ text: String) -> I? {
    guard isInteger(text) else { return nil }
    return I(text)
  }

  static func isInteger(_ text: String) -> Bool {
    let digits = text.utf8.drop { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }
    guard !digits.isEmpty, text.utf8.count - digits.count <= 1 else { return false }
    guard digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return false }
    return digits.count == 1 || digits.first != 0x30
  }

  /// An integer, or decimal digits with a point, an exponent or both; finite.
  static func number(_ text: String) -> Double? {
    let parts = text.split(
      maxSplits: 1, omittingEmptySubsequences: false, whereSeparator: { $0 == "e" || $0 == "E" })
    if parts.count == 2 {
      let exponent = parts[1].utf8.drop { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }
      guard !exponent.isEmpty, exponent.allSatisfy({ (0x30...0x39).contains($0) }) else {
        return nil
      }
    }
    let mantissa = parts[0].split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let whole = mantissa[0].isEmpty ? "0" : String(mantissa[0])
    guard isInteger(whole) else { return nil }
    if mantissa.count == 2 {
      guard mantissa[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
      guard !(mantissa[0].isEmpty && mantissa[1].isEmpty) else { return nil }
    }
    guard let value = Double(text), value.isFinite else { return nil }
    return value
  }

  /// What to do about `text` that is nearly an integer.
  static func integerAdvice(_ text: String) -> String? {
    let digits = text.drop { $0 == "0" }
    if text.hasPrefix("0"), integer(String(digits)) as Int? != nil {
      return "leading zeros mean octal in some YAML readers: write \(digits)"
    }
    if let value = number(text), value == value.rounded(), abs(value) < 1e15 {
      return "write \(Int(value))"
    }
    return nil
  }

  static func booleanAdvice(_ text: String) -> String? {
    switch text.lowercased() {
    case "on", "yes", "y", "true": "write true"
    case "off", "no", "n", "false": "write false"
    default: nil
    }
  }
}
