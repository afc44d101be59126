import Diagnostics
import Foundation

/// Pictures in one folder and label maps of the same names, but for the extension, in another.
/// Maps may be stored with every label shifted by one (ADE20k's 0 is «other»), and maps of other
/// sizes than their pictures are errors.
public struct LabelMapFolders: MaskedImageSource {
  public let path: String
  public let maskClasses: Int
  private let pictures: ImageFolder
  private let maps: [String]

  /// ADE20k (Zhou et al. 2017) as its scene parsing benchmark comes: `images/training/*.jpg` and
  /// `annotations/training/*.png`; 0 is «other», then 150 classes.
  /// - Parameter split: "training" or "validation".
  public static func ade20k(_ root: String, split: String = "training") throws -> Self {
    guard ["training", "validation"].contains(split) else {
      throw unknownSplit(split, root, ["training", "validation"])
    }
    return try Self(
      images: "\(root)/images/\(split)", maps: "\(root)/annotations/\(split)", classes: 151)
  }

  /// COCO-stuff (Caesar et al. 2018) with its maps in `stuffthingmaps`: `images/train2017/*.jpg` or
  /// `train2017/*.jpg`, and `annotations/train2017/*.png` or `stuffthingmaps/train2017/*.png`;
  /// labels 0 to 181, 255 for what is unlabelled.
  /// - Parameter split: "train2017" or "val2017".
  public static func cocoStuff(_ root: String, split: String = "train2017") throws -> Self {
    guard ["train2017", "val2017"].contains(split) else {
      throw unknownSplit(split, root, ["train2017", "val2017"])
    }
    let images = ["\(root)/images/\(split)", "\(root)/\(split)"].first(where: isFolder)
    let maps = ["annotations", "stuffthingmaps", "stuffthingmaps_trainval2017"]
      .map { "\(root)/\($0)/\(split)" }.first(where: isFolder)
    return try Self(
      images: images ?? "\(root)/images/\(split)", maps: maps ?? "\(root)/annotations/\(split)",
      classes: 182)
  }

  /// Throws `.missingInput` or `.badData` naming the folder, or the picture without a map.
  public init(images: String, maps: String, classes: Int) throws {
    path = images
    maskClasses = classes
    let pictures = try ImageFolder(images)
    self.pictures = pictures
    var byStem: [Substring: String] = [:]
    for name in try Disk.names(in: maps) where name.lowercased().hasSuffix(".png") {
      byStem[name.dropLast(4)] = "\(maps)/\(name)"
    }
    self.maps = try (0..<pictures.count).map { i in
      let name = pictures.name(i)
      let stem = name.lastIndex(of: ".").map { name[..<$0] } ?? name[...]
      guard let map = byStem[stem] else {
        throw UserError(
          .badData, maps, found: "no label map for \(name)", expected: "\(stem).png")
      }
      return map
    }
  }

  public var count: Int { pictures.count }
  public var classNames: [String]? { nil }
  public var storedBytes: Int { pictures.storedBytes }
  public func label(_ i: Int) -> Int? { nil }
  public func name(_ i: Int) -> String { pictures.name(i) }
  public func contents(_ i: Int) throws -> ImageContents { try pictures.contents(i) }
  public func size(_ i: Int) throws -> ImageSize { try pictures.size(i) }

  public func mask(_ i: Int) throws -> LabelMap {
    try LabelMap(
      contentsOf: maps[i], classes: maskClasses, like: try pictures.size(i), of: pictures.name(i))
  }
}

extension LabelMap {
  /// Reads a map that belongs to a picture. Throws `.badData` for a map of another size, and for a
  /// label that is none of the classes, nor 255.
  init(
    contentsOf file: String, classes: Int, like size: ImageSize, of picture: String
  ) throws {
    try self.init(contentsOf: file)
    guard width == size.width, height == size.height else {
      throw UserError(
        .badData, file, found: "a map of \(width)×\(height)", expected: "\(size) like \(picture)")
    }
    try check(classes: classes, file: file)
  }

  /// Throws `.badData` naming the label that is none of the classes, nor 255 for «unlabelled».
  public func check(classes: Int, file: String) throws {
    for label in labels where label >= classes && label != 255 {
      throw UserError(
        .badData, file, found: "label \(label)",
        expected: "0 to \(classes - 1), or 255 for what is unlabelled")
    }
  }
}
