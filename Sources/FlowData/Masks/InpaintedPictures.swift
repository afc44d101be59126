import Diagnostics
import Foundation

/// Completed pictures, the pictures that they were completed from, and the masks between them: the
/// same names in all three, but for extensions.
public struct InpaintedPictures: Sendable {
  public struct Triple: Sendable {
    public var original: ImageBuffer
    public var result: ImageBuffer
    public var mask: HoleMask
  }

  public let results: ImageFolder
  public let originals: PreparedImages
  public let masks: MaskFolder
  /// For each result the original's number.
  private let places: [Int]

  /// Throws `.badData` for a result without its original, `.missingInput` for one without a mask.
  public init(results: String, originals: PreparedImages, masks: String) throws {
    self.results = try ImageFolder(results)
    self.originals = originals
    self.masks = try MaskFolder(masks)
    var byName: [String: Int] = [:]
    for i in 0..<originals.count {
      let stem = pictureStem(originals.name(i))
      byName[stem] = i
      // The folder of a set that describes itself is no part of a picture's name.
      let last = lastName(of: stem)
      if byName[last] == nil { byName[last] = i }
    }
    places = try (0..<self.results.count).map { [results = self.results, masks = self.masks] k in
      let name = results.name(k)
      _ = try masks.file(of: name)
      guard let place = byName[pictureStem(name)] else {
        throw UserError(
          .badData, results.place(k), found: "no original of this name in \(originals.path)",
          expected: "\(pictureStem(name)) with any extension")
      }
      return place
    }
  }

  public var count: Int { places.count }

  /// Throws `.badData` naming the file that does not measure what the result does.
  public func triple(_ k: Int) throws -> Triple {
    let result = try results.image(k)
    let original = try originals.image(places[k])
    guard original.size == result.size else {
      throw UserError(
        .badData, results.place(k), found: "a picture of \(result.size)",
        expected: "\(original.size) like \(originals.place(places[k]))")
    }
    return Triple(
      original: original, result: result,
      mask: try masks.mask(of: results.name(k), size: result.size))
  }

  /// SHA-256 over names and contents of all three.
  public func fingerprint() throws -> String {
    let hasher = SHA256Hasher()
    for k in 0..<count {
      let result = try results.contents(k).digest().sha256
      let original = try originals.base.contents(places[k]).digest().sha256
      let mask = try sha256Hex(ofFile: masks.file(of: results.name(k)))
      hasher.update("\(results.name(k))\0\(result) \(original) \(mask)\n")
    }
    return hasher.finalizeHex()
  }
}
