import Diagnostics
import Foundation

/// Mask files of pictures: one folder, and the pictures' own names but for the extension.
public struct MaskFolder: Sendable {
  public let path: String
  /// Below the folder, without extension.
  private let files: [String: String]

  /// Lists PNG, JPEG and WebP files of the folder and of those below it.
  /// Throws `.missingInput` for a folder that is not there, `.badData` for two masks of one name.
  public init(_ path: String) throws {
    self.path = path
    var files: [String: String] = [:]
    var folders = [""]
    while let folder = folders.popLast() {
      for name in try Disk.names(in: path + "/" + folder) where !name.hasPrefix(".") {
        let relative = folder + name
        if isFolder("\(path)/\(relative)") {
          folders.append(relative + "/")
        } else if Self.extensions.contains(where: name.lowercased().hasSuffix) {
          let stem = pictureStem(relative)
          if let other = files.updateValue(relative, forKey: stem) {
            throw UserError(
              .badData, path, found: "two masks, \(other) and \(relative)",
              expected: "one of this name")
          }
        }
      }
    }
    self.files = files
  }

  private static let extensions = [".png", ".jpg", ".jpeg", ".webp"]

  /// The file of the mask of the picture that is called `name`.
  /// Throws `.missingInput` where there is none.
  public func file(of name: String) throws -> String {
    // Pictures of a set that describes itself lie in a folder of it.
    let stem = pictureStem(name)
    let last = stem.lastIndex(of: "/").map { String(stem[stem.index(after: $0)...]) }
    guard let file = files[stem] ?? last.flatMap({ files[$0] }) else {
      throw UserError(
        .missingInput, path, found: "no mask of \(name)", expected: "\(stem).png",
        advice: "`latentflow dataset masks` makes masks under the names of the pictures")
    }
    return "\(path)/\(file)"
  }

  /// The mask of a picture. Throws `.badData` naming the file where it measures anything but
  /// `size`, or holds no hole.
  public func mask(of name: String, size: ImageSize) throws -> HoleMask {
    let file = try file(of: name)
    let mask = try HoleMask(contentsOf: file)
    guard mask.size == size else {
      throw UserError(
        .badData, file, found: "a mask of \(mask.size)", expected: "\(size) like \(name)")
    }
    guard mask.area > 0 else {
      throw UserError(
        .badData, file, found: "no hole: every pixel is white", expected: "black in the hole",
        advice: "make the mask again, or invert it if its hole is white")
    }
    return mask
  }
}

/// "faces/0412.jpg" is "faces/0412".
func pictureStem(_ name: String) -> String {
  let start = name.lastIndex(of: "/").map { name.index(after: $0) } ?? name.startIndex
  guard let dot = name[start...].lastIndex(of: "."), dot > start else { return name }
  return String(name[..<dot])
}

extension HoleMask {
  /// The name of the mask file of the picture that is called `name`.
  public static func fileName(of name: String) -> String { pictureStem(name) + ".png" }
}
