import Diagnostics
import Foundation

/// metrics.csv: figures by step.  The first column is `step`; a cell is empty where a step has no
/// such figure.
public final class MetricsCSV {
  public let columns: [String]
  private let file: AppendingFile

  /// Opens `path` to append rows, or makes it with a header.
  ///
  /// - Parameter resumedStep: the step that a run goes on from; rows of later steps, which that
  ///   run will write again, are removed, and so is a torn last row.
  ///
  /// Throws `.badData` where the file has other columns.
  public init(_ path: String, columns: [String], resumedStep: Int = 0) throws {
    precondition(columns.first == "step", "the first column is step, not \(columns)")
    self.columns = columns
    let header = columns.joined(separator: ",") + "\n"
    if let data = FileManager.default.contents(atPath: path), data.contains(0x0A) {
      let kept = try MetricsCSV.rows(of: data, header, path, through: resumedStep)
      try replaceFile(path, with: kept)
    } else {
      try replaceFile(path, with: Array(header.utf8))
    }
    file = try AppendingFile(path)
  }

  /// Appends a row, one write.
  ///
  /// - Parameter values: one for each column after `step`.
  public func append(step: Int, _ values: [Double?]) throws {
    precondition(
      values.count == columns.count - 1, "\(values.count) values for columns \(columns)")
    let cells = values.map { $0.map { "\($0)" } ?? "" }
    try file.append("\(step)," + cells.joined(separator: ",") + "\n")
  }

  private static func rows(
    of data: Data, _ header: String, _ path: String, through last: Int
  ) throws -> [UInt8] {
    let lines = data.split(separator: 0x0A, omittingEmptySubsequences: false).dropLast()
    let found = lines.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
    guard found + "\n" == header else {
      throw UserError(
        .badData, path, at: "line 1", found: "the columns \(found)",
        expected: String(header.dropLast()), advice: "move the file away, or start a new run")
    }
    var kept = Array(header.utf8)
    for (index, line) in lines.enumerated().dropFirst() {
      let step = line.split(separator: 0x2C, maxSplits: 1).first.flatMap {
        Int(String(decoding: $0, as: UTF8.self))
      }
      guard let step else {
        throw UserError(
          .badData, path, at: "line \(index + 1)", found: "a row without a step",
          expected: "rows of \(header.dropLast())")
      }
      if step <= last { kept += line + [0x0A] }
    }
    return kept
  }
}
