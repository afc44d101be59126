import Diagnostics
import Foundation

/// Walks an image folder and counts what it leaves out.
struct FolderScan {
  let root: String
  var skipped = ImageFolder.Skipped()

  init(root: String) { self.root = root }

  private enum Kind {
    case folder, linkedFolder
    case file(bytes: Int)
  }

  private struct Entry {
    /// Below the root.
    var path: String
    var kind: Kind
  }

  /// The pictures directly in the root, without labels, or those of its class folders.
  mutating func picturesByClass() throws -> (items: [ImageFolder.Item], classes: [String]?) {
    var (items, classes) = ([ImageFolder.Item](), [String]())
    for entry in try entries(of: "") {
      if case .file(let bytes) = entry.kind {
        if let item = try picture(entry.path, bytes) { items.append(item) }
      } else {
        classes.append(entry.path)
      }
    }
    guard !classes.isEmpty else { return (items, nil) }
    guard items.isEmpty else {
      throw UserError(
        .badData, root, found: "images (\(items[0].name)) beside folders (\(classes[0]))",
        expected: "either images or one folder of images per class")
    }
    for (label, name) in classes.enumerated() {
      var members = try pictures(in: name)
      guard !members.isEmpty else {
        throw UserError(
          .badData, "\(root)/\(name)", found: "a class folder without images",
          expected: "PNG, JPEG or WebP files", advice: "remove the folder or fill it")
      }
      for i in members.indices { members[i].label = label }
      items += members
    }
    return (items, classes)
  }

  /// The pictures in `folder` and the folders below it, sorted by path.
  mutating func pictures(in folder: String) throws -> [ImageFolder.Item] {
    var items: [ImageFolder.Item] = []
    for entry in try entries(of: folder) {
      switch entry.kind {
      case .folder: items += try pictures(in: entry.path)
      case .linkedFolder: continue
      case .file(let bytes):
        if let item = try picture(entry.path, bytes) { items.append(item) }
      }
    }
    return items.sorted { bytewiseLess($0.name, $1.name) }
  }

  private mutating func picture(_ name: String, _ bytes: Int) throws -> ImageFolder.Item? {
    let lower = name.lowercased()
    guard [".png", ".jpg", ".jpeg", ".webp"].contains(where: lower.hasSuffix) else {
      skipped.otherFiles += 1
      return nil
    }
    guard bytes > 0 else { throw ImageFile.emptyFile("\(root)/\(name)") }
    return ImageFolder.Item(name: name, bytes: bytes, label: nil)
  }

  /// What is in `folder` (below the root), sorted, links resolved, hidden entries counted.
  private mutating func entries(of folder: String) throws -> [Entry] {
    let path = folder.isEmpty ? root : "\(root)/\(folder)"
    guard let stream = opendir(path) else {
      throw ImageFile.systemError(path, expected: "a folder of images")
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name == "." || name == ".." { continue }
      if name.hasPrefix(".") {
        skipped.hidden += 1
      } else {
        names.append(name)
      }
    }
    return try names.sorted(by: bytewiseLess).map { name in
      let below = folder.isEmpty ? name : "\(folder)/\(name)"
      return Entry(path: below, kind: try kind(of: "\(root)/\(below)"))
    }
  }

  private func kind(of path: String) throws -> Kind {
    var own = stat()
    var target = stat()
    guard lstat(path, &own) == 0 else {
      throw ImageFile.systemError(path, expected: "a readable file")
    }
    let isLink = own.st_mode & S_IFMT == S_IFLNK
    guard stat(path, &target) == 0 else {
      throw UserError(
        .badData, path, found: "a link to nothing", expected: "an image file",
        advice: "remove the link or bring its target back")
    }
    if target.st_mode & S_IFMT == S_IFDIR { return isLink ? .linkedFolder : .folder }
    return .file(bytes: Int(target.st_size))
  }
}

/// The order of the UTF-8 bytes, the same on every system and in every language.
func bytewiseLess(_ a: String, _ b: String) -> Bool {
  a.utf8.lexicographicallyPrecedes(b.utf8)
}
