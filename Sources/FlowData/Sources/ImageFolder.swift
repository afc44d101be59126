import Diagnostics
import Foundation

/// PNG, JPEG and WebP files of a folder, in bytewise order of their paths. Three layouts:
///
/// - a folder that describes itself (`dataset.json`, see `ImageSetDescription`): pictures in
///   `images/`, labels in `labels.csv`, and label maps where it says so;
/// - one subfolder per class: the sorted subfolder names are the classes, as in torchvision's
///   `ImageFolder`; pictures may lie in further subfolders of a class;
/// - pictures only: no labels.
///
/// Files whose names do not end in .png, .jpg, .jpeg or .webp, and hidden files and folders, are
/// left out and counted. Links to files and to class folders are followed, links to folders further
/// below are not.
public struct ImageFolder: ImageSource {
  public let path: String
  public let classNames: [String]?
  /// Files that were left out because of their names.
  public let skipped: Skipped

  public struct Skipped: Equatable, Sendable {
    public var hidden = 0
    public var otherFiles = 0

    public init(hidden: Int = 0, otherFiles: Int = 0) {
      self.hidden = hidden
      self.otherFiles = otherFiles
    }
  }

  struct Item: Sendable {
    /// Below the folder.
    var name: String
    var bytes: Int
    var label: Int?
  }

  private let items: [Item]
  /// Where label maps are, under the names that pictures have behind `pictures`.
  private let maps: (folder: String, pictures: String, classes: Int)?

  /// Lists the folder; pictures are read when asked for.
  ///
  /// Throws `.missingInput` if the folder does not exist; `.badData` for no pictures, an empty
  /// picture file or class folder, a dangling link, pictures beside class folders, and labels that
  /// do not fit the pictures.
  public init(_ path: String) throws {
    self.path = path
    var scan = FolderScan(root: path)
    var (items, classNames) = ([Item](), [String]?.none)
    var maps: (folder: String, pictures: String, classes: Int)?
    if let description = try ImageSetDescription(folder: path) {
      items = try scan.pictures(in: description.images)
      try description.label(&items, folder: path)
      classNames = description.classes
      maps = description.masks.map {
        ($0, description.images, description.maskClasses ?? 1 + description.classes.count)
      }
    } else {
      (items, classNames) = try scan.picturesByClass()
    }
    guard !items.isEmpty else {
      throw UserError(
        .badData, path,
        found: "no images (\(scan.skipped.otherFiles) other, \(scan.skipped.hidden) hidden files)",
        expected: "PNG, JPEG or WebP files, or one folder of them per class")
    }
    self.items = items
    self.classNames = classNames
    self.maps = maps
    skipped = scan.skipped
  }

  public var count: Int { items.count }

  public func name(_ i: Int) -> String { items[i].name }

  public func label(_ i: Int) -> Int? { items[i].label }

  public func contents(_ i: Int) throws -> ImageContents { .encoded(try ImageFile.read(place(i))) }

  public func size(_ i: Int) throws -> ImageSize { try imageSize(ofFile: place(i)) }

  /// Bytes of all pictures, as files.
  public var storedBytes: Int { items.reduce(0) { $0 + $1.bytes } }

  public var mapClasses: Int? { maps?.classes }

  public func map(_ i: Int) throws -> LabelMap? {
    guard let maps else { return nil }
    let name = items[i].name.dropFirst(maps.pictures.count + 1)
    let stem = name.lastIndex(of: ".").map { name[..<$0] } ?? name
    let file = "\(path)/\(maps.folder)/\(stem).png"
    guard access(file, F_OK) == 0 else {
      throw UserError(
        .missingInput, file, found: "no such file", expected: "the label map of \(items[i].name)")
    }
    return try LabelMap(contentsOf: file, classes: maps.classes, like: size(i), of: items[i].name)
  }
}
