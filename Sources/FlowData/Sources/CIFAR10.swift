import Diagnostics
import Foundation

/// CIFAR-10 (Krizhevsky 2009), in its binary or its python form: batches of 10,000 pictures of
/// 32×32, stored as planes of red, green, blue.
public struct CIFAR10: ImageSource {
  public static let side = 32
  /// Bytes of the planes of one picture.
  static let planeBytes = 3 * side * side
  /// The order of the labels where no file of names says.
  static let standardNames = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
  ]

  public let path: String
  public let count: Int
  public let classNames: [String]?
  private let batches: [CIFAR10Batch]

  /// - Parameters:
  ///   - path: the folder `cifar-10-batches-bin` (`data_batch_1.bin` …) or `cifar-10-batches-py`
  ///     (`data_batch_1` …).
  ///   - split: "train" (batches 1 to 5) or "test" (`test_batch`).
  /// Throws `.missingInput` or `.badData` naming the file; labels are checked.
  public init(_ path: String, split: String = "train") throws {
    self.path = path
    let names: [String]
    switch split {
    case "train": names = (1...5).map { "data_batch_\($0)" }
    case "test": names = ["test_batch"]
    default: throw unknownSplit(split, path, ["train", "test"])
    }
    let isPython = access("\(path)/\(names[0])", F_OK) == 0
    let classes = try Self.classNames(path)
    classNames = classes
    batches = try names.map { name in
      isPython
        ? try CIFAR10Batch(pickle: "\(path)/\(name)", classes: classes.count)
        : try CIFAR10Batch(binary: "\(path)/\(name).bin", classes: classes.count)
    }
    count = batches.reduce(0) { $0 + $1.count }
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

  public func label(_ i: Int) -> Int? {
    let (batch, k) = place(of: i)
    return batch.label(k)
  }

  /// "data_batch_1.bin/00042"
  public func name(_ i: Int) -> String {
    let (batch, k) = place(of: i)
    return "\(lastName(of: batch.path))/\(digits(k, 5))"
  }

  public func contents(_ i: Int) throws -> ImageContents {
    let (batch, k) = place(of: i)
    return .pixels(ImageBuffer(planes: batch.planes(k), width: Self.side, height: Self.side))
  }

  public var storedBytes: Int { count * (1 + Self.planeBytes) }

  /// The batch of picture `i` and its number there.
  private func place(of i: Int) -> (CIFAR10Batch, Int) {
    precondition(i >= 0 && i < count, "picture \(i) of \(count)")
    var rest = i
    for batch in batches {
      if rest < batch.count { return (batch, rest) }
      rest -= batch.count
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
