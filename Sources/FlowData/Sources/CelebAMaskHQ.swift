import Diagnostics
import Foundation

/// CelebAMask-HQ (Lee et al. 2020, MaskGAN): `CelebA-HQ-img/0.jpg` … and for every picture a black
/// and white PNG per part that it shows, `CelebAMask-HQ-mask-anno/0/00000_skin.png` …, 2000
/// pictures to a folder.
public struct CelebAMaskHQ: MaskedImageSource {
  /// Label 1 + index; where parts overlap, the later one counts, as in the data set's own script.
  public static let parts = [
    "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth",
    "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
  ]

  public let path: String
  private let root: String
  private let pictures: ImageFolder
  /// Picture of the data set by position: names are numbers.
  private let numbers: [Int]

  /// Throws `.missingInput` or `.badData` naming the folder or picture.
  public init(_ root: String) throws {
    self.root = root
    path = "\(root)/CelebA-HQ-img"
    let pictures = try ImageFolder(path)
    self.pictures = pictures
    numbers = try (0..<pictures.count).map { i in
      let name = pictures.name(i)
      guard let number = Int(name.prefix { $0 != "." }), number >= 0 else {
        throw UserError(
          .badData, root, found: "the picture \(name)", expected: "a number as name")
      }
      return number
    }
  }

  public var maskClasses: Int { 1 + Self.parts.count }
  public var count: Int { pictures.count }
  public var classNames: [String]? { nil }
  public var storedBytes: Int { pictures.storedBytes }
  public func label(_ i: Int) -> Int? { nil }
  public func name(_ i: Int) -> String { pictures.name(i) }
  public func contents(_ i: Int) throws -> ImageContents { try pictures.contents(i) }
  public func size(_ i: Int) throws -> ImageSize { try pictures.size(i) }

  /// The parts over one another, at the size of the parts (512², half the picture's side).
  public func mask(_ i: Int) throws -> LabelMap {
    let folder = "\(root)/CelebAMask-HQ-mask-anno/\(numbers[i] / 2000)"
    var whole: LabelMap?
    for (index, part) in Self.parts.enumerated() {
      let file = "\(folder)/\(digits(numbers[i], 5))_\(part).png"
      guard access(file, F_OK) == 0 else { continue }
      let image = try ImageBuffer(contentsOf: file)
      var map = whole
        ?? LabelMap(
          width: image.width, height: image.height,
          labels: [UInt8](repeating: 0, count: image.width * image.height))
      guard image.width == map.width, image.height == map.height else {
        throw UserError(
          .badData, file, found: "a part of \(image.sizeText)",
          expected: "\(map.width)×\(map.height) like the others")
      }
      for p in map.labels.indices where image.pixels[3 * p] != 0 {
        map.labels[p] = UInt8(index + 1)
      }
      whole = map
    }
    guard let whole else {
      throw UserError(
        .missingInput, folder, found: "no part of picture \(numbers[i])",
        expected: "\(digits(numbers[i], 5))_skin.png …")
    }
    return whole
  }
}
