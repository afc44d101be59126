import Diagnostics
import Foundation

/// PNG, JPEG and WebP files of a folder, in bytewise order of their paths. Three layouts:
///
/// - a folder that describes itself (`dataset.json`, see `ImageSetDescription`): pictures in
///   `images/`, labels in `labels.csv`, and where it says so label maps under the pictures' names:
///   0 for the ground, 1 + class elsewhere;
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
  /// Of the label maps; nil without.
  private let maps: String?
  /// Of the pictures that have maps, below `path`.
  private let images: String

  /// Lists the folder; pictures are read when asked for.
  ///
  /// Throws `.missingInput` if the folder does not exist; `.badData` for no pictures, an empty
  /// picture file or class folder, a dangling link, pictures beside class folders, and labels that
  /// do not fit the pictures.
  public init(_ path: String) throws {
    self.path = path
    var scan = FolderScan(root: path)
    var (items, classNames) = ([Item](), [String]?.none)
    (maps, images) = try Self.mapFolders(path)
    if let description = try ImageSetDescription(folder: path) {
      items = try scan.pictures(in: description.images)
      try description.label(&items, folder: path)
      classNames = description.classes
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
    skipped = scan.skipped
  }

  public var count: Int { items.count }

  public func name(_ i: Int) -> String { items[i].name }

  public func label(_ i: Int) -> Int? { items[i].label }

  public func contents(_ i: Int) throws -> ImageContents { .encoded(try ImageFile.read(place(i))) }

  public func size(_ i: Int) throws -> ImageSize { try imageSize(ofFile: place(i)) }

  private static func mapFolders(_ path: String) throws -> (maps: String?, images: String) {
    let description = try ImageSetDescription(folder: path)
    return (description?.masks.map { "\(path)/\($0)" }, description?.images ?? "")
  }

  public var mapClasses: Int? { maps == nil ? nil : 1 + (classNames?.count ?? 0) }

  /// Throws `.missingInput` or `.badData` naming the map's file.
  public func map(_ i: Int) throws -> LabelMap? {
    guard let maps, let mapClasses else { return nil }
    let picture = String(items[i].name.dropFirst(images.count + 1))
    let file = "\(maps)/\(HoleMask.fileName(of: picture))"
    let map = try LabelMap(contentsOf: file)
    let size = try size(i)
    guard map.width == size.width, map.height == size.height else {
      throw UserError(
        .badData, file, found: "a map of \(map.width)×\(map.height)",
        expected: "\(size) like \(name(i))")
    }
    if let label = map.labels.first(where: { $0 >= mapClasses && $0 != 255 }) {
      throw UserError(
        .badData, file, found: "label \(label)",
        expected: "0 to \(mapClasses - 1), or 255 for what is unlabelled")
    }
    return map
  }

  /// Bytes of all pictures, as files.
  public var storedBytes: Int { items.reduce(0) { $0 + $1.bytes } }
}
