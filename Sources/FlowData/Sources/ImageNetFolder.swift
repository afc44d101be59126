import Diagnostics
import Foundation

/// ImageNet (ILSVRC 2012) as it is unpacked: `train/n01440764/*.JPEG`, the classes by their
/// WordNet numbers in order; `val` in the same form, or flat, its labels in Kaggle's
/// `LOC_val_solution.csv`.
/// Both lie in the folder itself or in `ILSVRC/Data/CLS-LOC`.
public struct ImageNetFolder: ImageSource {
  public let path: String
  public let classNames: [String]?
  private let pictures: ImageFolder
  private let labels: [Int]

  /// - Parameter split: "train" or "val".
  /// Throws what `ImageFolder` throws, and `.badData` for classes other than those of `train`.
  public init(_ root: String, split: String = "train") throws {
    guard ["train", "val"].contains(split) else {
      throw unknownSplit(split, root, ["train", "val"])
    }
    let deep = "\(root)/ILSVRC/Data/CLS-LOC"
    let base = isFolder(deep) ? deep : root
    path = "\(base)/\(split)"
    let pictures = try ImageFolder(path)
    self.pictures = pictures
    guard let own = pictures.classNames else {
      (classNames, labels) = try Self.flatLabels(pictures, base: base, root: root)
      return
    }
    classNames = own
    labels = (0..<pictures.count).map { pictures.label($0) ?? 0 }
    let train = "\(base)/train"
    guard split == "val", isFolder(train) else { return }
    let trained = try Self.classFolders(train)
    guard own == trained else {
      throw UserError(
        .badData, path, found: "\(own.count) classes that are not those of train",
        expected: "the \(trained.count) folders of \(train)")
    }
  }

  /// Names of the class folders, without a look into them.
  private static func classFolders(_ train: String) throws -> [String] {
    try Disk.names(in: train).filter { isFolder("\(train)/\($0)") && !$0.hasPrefix(".") }
      .sorted(by: bytewiseLess)
  }

  /// Labels of pictures without class folders: lines "ILSVRC2012_val_00000001,n01440764 1 2 3 4".
  private static func flatLabels(
    _ pictures: ImageFolder, base: String, root: String
  ) throws -> ([String], [Int]) {
    let list = "\(root)/LOC_val_solution.csv"
    guard access(list, F_OK) == 0 else {
      throw UserError(
        .missingInput, pictures.path, found: "pictures without class folders",
        expected: "folders of classes, or \(list)")
    }
    let text = String(decoding: try ImageFile.read(list), as: UTF8.self)
    var classOf: [Substring: Substring] = [:]
    for line in text.split(whereSeparator: \.isNewline).dropFirst() {
      let fields = line.split(separator: ",", maxSplits: 1)
      guard fields.count == 2, let wordnet = fields[1].split(separator: " ").first else {
        throw UserError(.badData, list, found: "\"\(line)\"", expected: "NAME,CLASS …")
      }
      classOf[fields[0]] = wordnet
    }
    let train = "\(base)/train"
    let classes = isFolder(train)
      ? try classFolders(train) : Set(classOf.values).map(String.init).sorted(by: bytewiseLess)
    let numbers = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
    let labels = try (0..<pictures.count).map { i in
      let name = pictures.name(i)
      guard let wordnet = classOf[name.prefix { $0 != "." }], let label = numbers[String(wordnet)]
      else {
        throw UserError(
          .badData, list, found: "no class for \(name)", expected: "one of \(classes.count)")
      }
      return label
    }
    return (classes, labels)
  }

  public var count: Int { pictures.count }
  public var storedBytes: Int { pictures.storedBytes }
  public func label(_ i: Int) -> Int? { labels[i] }
  public func name(_ i: Int) -> String { pictures.name(i) }
  public func contents(_ i: Int) throws -> ImageContents { try pictures.contents(i) }
  public func size(_ i: Int) throws -> ImageSize { try pictures.size(i) }
}

func isFolder(_ path: String) -> Bool {
  var status = stat()
  return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}
