import Diagnostics

/// Pictures in a zip as EDM's and StyleGAN's `dataset_tool` makes them: picture files below any
/// folders, read in the order of their names, and `dataset.json` with
/// `{"labels": [["00000/img00000000.png", 3], …]}` or null.
public struct ZipImages: ImageSource {
  public let path: String
  public let classNames: [String]?
  public let storedBytes: Int
  private let archive: ZipArchive
  private let entries: [ZipArchive.Entry]
  private let labels: [Int]?

  /// Throws `.missingInput`, `.io`, or `.badData` naming the member.
  public init(_ path: String) throws {
    self.path = path
    let file = try MappedFile(path)
    let archive = try ZipArchive(file)
    self.archive = archive
    storedBytes = file.bytes.count
    entries = try archive.entries.filter { entry in
      let lower = entry.name.lowercased()
      guard [".png", ".jpg", ".jpeg", ".webp"].contains(where: lower.hasSuffix) else {
        return false
      }
      guard relativeName(entry.name) == entry.name else {
        throw UserError(
          .badData, path, found: "the name \(shown(entry.name))",
          expected: "a relative path that stays in its folder")
      }
      return true
    }.sorted { bytewiseLess($0.name, $1.name) }
    guard !entries.isEmpty else {
      throw UserError(
        .badData, path, found: "no pictures", expected: "PNG, JPEG or WebP files in the archive")
    }
    labels = try Self.labels(archive, entries, path)
    classNames = labels.map { (0...($0.max() ?? 0)).map(String.init) }
  }

  private static func labels(
    _ archive: ZipArchive, _ entries: [ZipArchive.Entry], _ path: String
  ) throws -> [Int]? {
    guard let entry = archive.entry("dataset.json") else { return nil }
    func fail(_ found: String, _ expected: String) -> UserError {
      UserError(.badData, path, at: "member dataset.json", found: found, expected: expected)
    }
    let root: JSONValue = try archive.withBytes(entry) { bytes in
      do throws(JSONSyntaxError) {
        return try JSONValue(parsing: bytes)
      } catch {
        throw fail("\(error.reason) at its byte \(error.byte)", "JSON")
      }
    }
    guard let pairs = root["labels"], pairs != .null else { return nil }
    var labelOf: [String: Int] = [:]
    for pair in pairs.array ?? [] {
      guard let name = pair[0]?.string, let label = pair[1]?.int, (0..<1 << 20).contains(label)
      else { throw fail("a label that is not [NAME, NUMBER]", "whole numbers from 0") }
      labelOf[name] = label
    }
    return try entries.map { entry in
      guard let label = labelOf[entry.name] else {
        throw fail("no label for \(shown(entry.name))", "one for every picture")
      }
      return label
    }
  }

  public var count: Int { entries.count }
  public func label(_ i: Int) -> Int? { labels?[i] }
  public func name(_ i: Int) -> String { entries[i].name }

  public func contents(_ i: Int) throws -> ImageContents {
    // What a deflated member may unpack to is bounded by the archive's size, not by a picture's.
    guard entries[i].count <= ImageFile.maximumBytes else {
      throw UserError(
        .badData, place(i), found: "\(entries[i].count) bytes",
        expected: "an image file of at most 1 GiB")
    }
    return .encoded(try archive.withBytes(entries[i]) { Array($0) })
  }
}
