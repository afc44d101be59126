import Diagnostics
import Foundation

/// A value in a line of events.jsonl.
public indirect enum EventValue: Sendable, Equatable {
  case integer(Int)
  /// NaN and infinities are written as null: JSON has none.
  case number(Double)
  case string(String)
  case boolean(Bool)
  case null
  case list([EventValue])

  /// The value of a number of either kind.
  public var number: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  var json: String {
    switch self {
    case .integer(let value): "\(value)"
    case .number(let value): value.isFinite ? "\(value)" : "null"
    case .string(let value): EventValue.quoted(value)
    case .boolean(let value): "\(value)"
    case .null: "null"
    case .list(let values): "[" + values.map(\.json).joined(separator: ", ") + "]"
    }
  }

  static func quoted(_ text: String) -> String {
    var result = "\""
    for c in text.unicodeScalars {
      switch c {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case _ where c.value < 0x20 || c.value == 0x7F:
        let hex = String(c.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: result.unicodeScalars.append(c)
      }
    }
    return result + "\""
  }
}

extension EventValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(booleanLiteral value: Bool) { self = .boolean(value) }
  public init(arrayLiteral elements: EventValue...) { self = .list(elements) }
}

/// One thing that happened in a run.
public struct RunEvent: Sendable, Equatable {
  /// Seconds since 1970.
  public var time: Double
  /// "started", "checkpoint", "skipped", "stopped" …
  public var kind: String
  public var fields: [String: EventValue]

  public init(time: Double, kind: String, fields: [String: EventValue]) {
    self.time = time
    self.kind = kind
    self.fields = fields
  }
}

/// events.jsonl: a line of JSON for each event, with the keys `time` and `kind` and those of the
/// event.  A line is one write, so that what a kill leaves is whole lines and at most one torn.
public final class EventLog {
  private let file: AppendingFile

  /// Opens the log to append to it; a torn last line of an earlier process is cut off.
  public init(_ path: String) throws {
    let size = try EventLog.wholeLines(of: path)
    if let size, truncate(path, off_t(size)) != 0 {
      throw systemError(path, "cannot be truncated")
    }
    file = try AppendingFile(path)
  }

  /// Appends one line; its fields go in the order of their names, after time and kind.
  ///
  /// - Precondition: no field is called `time` or `kind`.
  public func append(
    _ kind: String, _ fields: [String: EventValue] = [:],
    time: Double = Date().timeIntervalSince1970
  ) throws {
    precondition(fields["time"] == nil && fields["kind"] == nil, "an event has one time and kind")
    var line = "{\"time\": \(time), \"kind\": \(EventValue.quoted(kind))"
    for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
      line += ", \(EventValue.quoted(name)): \(value.json)"
    }
    try file.append(line + "}\n")
  }

  /// The events of the log, without a torn last line.
  ///
  /// Throws `.badData` at a whole line that is not an event.
  public static func read(_ path: String) throws -> [RunEvent] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw UserError(.missingInput, path, found: "no such file", expected: "the events of a run")
    }
    let whole = data.prefix(through: data.lastIndex(of: 0x0A) ?? data.startIndex - 1)
    return try whole.split(separator: 0x0A).enumerated().map { index, line in
      let object = try? JSONSerialization.jsonObject(with: Data(line)) as? [String: Any]
      guard var object, let time = (object.removeValue(forKey: "time") as? NSNumber)?.doubleValue,
        let kind = object.removeValue(forKey: "kind") as? String
      else {
        throw UserError(
          .badData, path, at: "line \(index + 1)", found: "not an event",
          expected: "a JSON object with time and kind")
      }
      return RunEvent(time: time, kind: kind, fields: object.mapValues(EventLog.value))
    }
  }

  private static func value(_ any: Any) -> EventValue {
    switch any {
    case let text as String: return .string(text)
    case let list as [Any]: return .list(list.map(value))
    case let number as NSNumber:
      if isBoolean(number) { return .boolean(number.boolValue) }
      let double = number.doubleValue
      return double == double.rounded() && abs(double) < 0x1p53
        ? .integer(Int(double)) : .number(double)
    default: return .null
    }
  }

  private static func isBoolean(_ number: NSNumber) -> Bool {
    String(cString: number.objCType) == "c"
  }

  /// Bytes up to and with the last newline; nil where nothing is to be cut.
  private static func wholeLines(of path: String) throws -> Int? {
    guard let data = FileManager.default.contents(atPath: path), let last = data.last,
      last != 0x0A
    else { return nil }
    return data.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
  }
}
