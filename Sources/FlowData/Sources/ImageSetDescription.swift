import Diagnostics
import Foundation

/// `dataset.json` of an image set that describes itself:
/// `{"classes": ["red circle", …], "count": 1000, "format": "image set", "images": "images",
/// "labels": "labels.csv", …}`. Further keys say how the set was made.
///
/// `labels.csv` has the header `file,label` and a line per picture: the file's name below the
/// folder of the pictures, and its label, a whole number from 0.
public struct ImageSetDescription: Codable, Equatable, Sendable {
  public static let fileName = "dataset.json"
  public static let format = "image set"

  public var format = Self.format
  public var images = "images"
  public var labels = "labels.csv"
  /// Folder of label maps, PNGs under the names of the pictures.
  public var masks: String?
  /// Classes of the maps; nil: one for the ground and one for each of `classes`.
  public var maskClasses: Int?
  public var classes: [String]
  public var count: Int
  /// What `dataset shapes` was called with.
  public var shapes: Shapes?

  public struct Shapes: Codable, Equatable, Sendable {
    public var size: Int
    public var seed: UInt64
    public var startIndex: Int

    public init(size: Int, seed: UInt64, startIndex: Int) {
      self.size = size
      self.seed = seed
      self.startIndex = startIndex
    }
  }

  public init(classes: [String], count: Int, masks: String? = nil, shapes: Shapes? = nil) {
    self.classes = classes
    self.count = count
    self.masks = masks
    self.shapes = shapes
  }

  /// The description of `folder`; nil if it has none.
  public init?(folder: String) throws {
    let path = "\(folder)/\(Self.fileName)"
    guard access(path, F_OK) == 0 else { return nil }
    do {
      self = try JSONDecoder().decode(Self.self, from: Data(try ImageFile.read(path)))
    } catch let error as DecodingError {
      throw UserError(
        .badData, path, found: Self.explain(error), expected: "the description of an image set")
    }
    guard format == Self.format else {
      throw UserError(
        .badData, path, at: "format", found: "\"\(format)\"", expected: "\"\(Self.format)\"")
    }
  }

  func write(to folder: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let text = String(decoding: try encoder.encode(self), as: UTF8.self)
    try ImageFile.write(text + "\n", to: "\(folder)/\(Self.fileName)")
  }

  /// Gives `items` (below `folder`/images) the labels of `labels.csv`; both must agree.
  func label(_ items: inout [ImageFolder.Item], folder: String) throws {
    let path = "\(folder)/\(labels)"
    var byName = try readLabels(path)
    guard byName.count == items.count && items.count == count else {
      throw UserError(
        .badData, path, found: "\(byName.count) labels for \(items.count) images",
        expected: "\(count) of both, as \(Self.fileName) says")
    }
    for i in items.indices {
      let name = String(items[i].name.dropFirst(images.count + 1))
      guard let label = byName.removeValue(forKey: name) else {
        throw UserError(
          .badData, path, found: "no label for \(items[i].name)", expected: "a line \"\(name),…\"")
      }
      items[i].label = label
    }
  }

  private func readLabels(_ path: String) throws -> [String: Int] {
    let text = String(decoding: try ImageFile.read(path), as: UTF8.self)
    let lines = text.split(whereSeparator: \.isNewline)
    guard lines.first == "file,label" else {
      throw UserError(
        .badData, path, at: "line 1", found: lines.first.map { "\"\($0)\"" } ?? "nothing",
        expected: "\"file,label\"")
    }
    var labels: [String: Int] = [:]
    for (number, line) in lines.enumerated().dropFirst() {
      let place = "line \(number + 1)"
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      guard fields.count == 2, let label = Int(fields[1]) else {
        throw UserError(
          .badData, path, at: place, found: "\"\(line)\"", expected: "FILE,LABEL")
      }
      guard classes.indices.contains(label) else {
        throw UserError(
          .badData, path, at: place, found: "label \(label)",
          expected: "0 to \(classes.count - 1), the classes of \(Self.fileName)")
      }
      guard labels.updateValue(label, forKey: String(fields[0])) == nil else {
        throw UserError(
          .badData, path, at: place, found: "a second label for \(fields[0])", expected: "one")
      }
    }
    return labels
  }

  private static func explain(_ error: DecodingError) -> String {
    switch error {
    case .keyNotFound(let key, _): "no key \"\(key.stringValue)\""
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      "a value of the wrong kind at \(context.codingPath.map(\.stringValue).joined(separator: "."))"
    default: "no valid JSON"
    }
  }
}
