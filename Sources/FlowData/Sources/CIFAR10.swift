import Diagnostics
import Foundation

/// CIFAR-10 (Krizhevsky 2009) in its binary form: files of 10,000 records of a label and three
/// planes of 32×32 bytes, red, green, blue.
public struct CIFAR10: ImageSource {
  public static let side = 32
  static let recordBytes = 1 + 3 * side * side
  /// The order of the labels where `batches.meta.txt` does not say.
  static let standardNames = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
  ]

  public let path: String
  public let count: Int
  public let classNames: [String]?
  private let files: [MappedFile]

  /// - Parameters:
  ///   - path: the folder `cifar-10-batches-bin`.
  ///   - split: "train" (`data_batch_1.bin` … 5) or "test" (`test_batch.bin`).
  /// Throws `.missingInput` or `.badData` naming the file; labels are checked.
  public init(_ path: String, split: String = "train") throws {
    self.path = path
    let names: [String]
    switch split {
    case "train": names = (1...5).map { "data_batch_\($0).bin" }
    case "test": names = ["test_batch.bin"]
    default: throw unknownSplit(split, path, ["train", "test"])
    }
    files = try names.map { try MappedFile("\(path)/\($0)") }
    classNames = try Self.classNames(path)
    for file in files { try Self.check(file, classes: classNames?.count ?? 0) }
    count = files.reduce(0) { $0 + $1.bytes.count / Self.recordBytes }
  }

  private static func classNames(_ path: String) throws -> [String] {
    let file = "\(path)/batches.meta.txt"
    guard access(file, F_OK) == 0 else { return standardNames }
    let text = String(decoding: try ImageFile.read(file), as: UTF8.self)
    let names = text.split(whereSeparator: \.isNewline).map(String.init)
    guard names.count == 10 else {
      throw UserError(.badData, file, found: "\(names.count) names", expected: "10")
    }
    return names
  }

  private static func check(_ file: MappedFile, classes: Int) throws {
    guard file.bytes.count > 0, file.bytes.count % recordBytes == 0 else {
      throw UserError(
        .badData, file.path, found: "\(file.bytes.count) bytes",
        expected: "a multiple of \(recordBytes), the bytes of a record")
    }
    for start in stride(from: 0, to: file.bytes.count, by: recordBytes)
    where file.bytes[start] >= classes {
      throw UserError(
        .badData, file.path, at: "byte \(start)", found: "label \(file.bytes[start])",
        expected: "0 to \(classes - 1)")
    }
  }

  public func label(_ i: Int) -> Int? {
    let (file, start) = record(i)
    return Int(file.bytes[start])
  }

  /// "data_batch_1.bin/00042"
  public func name(_ i: Int) -> String {
    let (file, start) = record(i)
    return "\(lastName(of: file.path))/\(digits(start / Self.recordBytes, 5))"
  }

  public func contents(_ i: Int) throws -> ImageContents {
    let (file, start) = record(i)
    let planes = file.slice(start + 1..<start + Self.recordBytes)
    return .pixels(ImageBuffer(planes: planes, width: Self.side, height: Self.side))
  }

  public var storedBytes: Int { count * Self.recordBytes }

  private func record(_ i: Int) -> (MappedFile, Int) {
    precondition(i >= 0 && i < count, "picture \(i) of \(count)")
    var rest = i
    for file in files {
      let records = file.bytes.count / Self.recordBytes
      if rest < records { return (file, rest * Self.recordBytes) }
      rest -= records
    }
    preconditionFailure("picture \(i) of \(count)")
  }
}

extension ImageBuffer {
  /// From a plane per channel, [3, height, width].
  init(planes: [UInt8], width: Int, height: Int) {
    let area = width * height
    precondition(planes.count == 3 * area, "\(planes.count) bytes for planes of \(width)×\(height)")
    var pixels = [UInt8](repeating: 0, count: 3 * area)
    for c in 0..<3 {
      for p in 0..<area { pixels[3 * p + c] = planes[c * area + p] }
    }
    self.init(width: width, height: height, pixels: pixels)
  }
}

func unknownSplit(_ split: String, _ path: String, _ known: [String]) -> UserError {
  UserError(
    .usage, path, at: "part after #", found: "\"\(split)\"",
    expected: known.map { "\"\($0)\"" }.joined(separator: " or "))
}
