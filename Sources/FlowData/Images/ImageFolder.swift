import Diagnostics
import Foundation

/// PNG and JPEG files of a folder, in bytewise order of their paths. Three layouts:
///
/// - a folder that describes itself (`dataset.json`, see `ImageSetDescription`): pictures in
///   `images/`, labels in `labels.csv`;
/// - one subfolder per class: the sorted subfolder names are the classes, as in torchvision's
///   `ImageFolder`; pictures may lie in further subfolders of a class;
/// - pictures only: no labels.
///
/// Files whose names do not end in .png, .jpg or .jpeg, and hidden files and folders, are left out
/// and counted. Links to files and to class folders are followed, links to folders further below
/// are not. Without `fit` all pictures must be of one size.
public struct ImageFolder: ImageSource {
  public let path: String
  public let fit: ImageFit?
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
  /// What every picture must measure if nothing fits them.
  private let size: ImageSize?

  /// Lists the folder; pictures are read when asked for.
  ///
  /// Throws `.missingInput` if the folder does not exist; `.badData` for no pictures, an empty
  /// picture file or class folder, a dangling link, pictures beside class folders, and labels that
  /// do not fit the pictures.
  public init(_ path: String, fit: ImageFit? = nil) throws {
    self.path = path
    self.fit = fit
    var scan = FolderScan(root: path)
    var (items, classNames) = ([Item](), [String]?.none)
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
        expected: "PNG or JPEG files, or one folder of them per class")
    }
    self.items = items
    self.classNames = classNames
    skipped = scan.skipped
    size = fit == nil ? try imageSize(ofFile: "\(path)/\(items[0].name)") : nil
  }

  public var count: Int { items.count }

  public func name(_ i: Int) -> String { items[i].name }

  public func label(_ i: Int) -> Int? { items[i].label }

  public func image(_ i: Int) throws -> ImageBuffer {
    let file = "\(path)/\(items[i].name)"
    let image = try ImageBuffer(contentsOf: file)
    if let fit { return image.fitted(fit) }
    try checkSize(image.size, of: file)
    return image
  }

  /// Reads the header of every picture: throws what `image` would throw for a wrong size or a file
  /// that is no picture. Damage further inside shows only when a picture is decoded.
  public func checkHeaders() throws {
    for item in items {
      let file = "\(path)/\(item.name)"
      let size = try imageSize(ofFile: file)
      if fit == nil { try checkSize(size, of: file) }
    }
  }

  private func checkSize(_ found: ImageSize, of file: String) throws {
    guard let size, found != size else { return }
    throw UserError(
      .badData, file, found: "an image of \(found)",
      expected: "\(size) like \(items[0].name)",
      advice: "give the size that all images shall be cropped and resized to (--size)")
  }

  /// SHA-256 over name, label, size and contents of every picture and the fit; reads all files.
  public func fingerprint() throws -> String { try fingerprints(fits: [fit])[0] }

  /// What `fingerprint` would be with each of `fits`; reads all files once.
  public func fingerprints(fits: [ImageFit?]) throws -> [String] {
    let hashers = fits.map { fit in
      let hasher = SHA256Hasher()
      for name in classNames ?? [] { hasher.update("class \(name)\n") }
      hasher.update("fit \(fit.map { "\($0)" } ?? "none")\n")
      return hasher
    }
    for item in items {
      let contents = try sha256Hex(ofFile: "\(path)/\(item.name)")
      let label = item.label.map(String.init) ?? "-"
      for hasher in hashers {
        hasher.update("\(item.name)\0\(label) \(item.bytes) \(contents)\n")
      }
    }
    return hashers.map { $0.finalizeHex() }
  }

  /// Bytes of all pictures, as files.
  public var fileBytes: Int { items.reduce(0) { $0 + $1.bytes } }
}
