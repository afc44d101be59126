import Diagnostics
import Foundation

/// One picture file.
public struct PictureFile: ImageSource {
  public let path: String
  public let storedBytes: Int

  /// Throws `.missingInput` if there is no such file.
  public init(_ path: String) throws {
    self.path = path
    storedBytes = try ImageFile.size(path)
  }

  public var count: Int { 1 }
  public var classNames: [String]? { nil }

  public func label(_ i: Int) -> Int? { nil }
  public func name(_ i: Int) -> String { lastName(of: path) }
  public func place(_ i: Int) -> String { path }
  public func contents(_ i: Int) throws -> ImageContents { .encoded(try ImageFile.read(path)) }
  public func size(_ i: Int) throws -> ImageSize { try imageSize(ofFile: path) }
}

/// The pictures of several sources, one source after another; without labels.
public struct JoinedImages: ImageSource {
  private let parts: [any ImageSource]
  /// Of each part's first picture; one more at the end.
  private let starts: [Int]

  public init(_ parts: [any ImageSource]) {
    precondition(!parts.isEmpty, "no sources to join")
    self.parts = parts
    starts = parts.reduce(into: [0]) { $0.append($0.last! + $1.count) }
  }

  private func part(_ i: Int) -> (source: any ImageSource, index: Int) {
    precondition(i >= 0 && i < count, "picture \(i) of \(count)")
    let k = starts.lastIndex { $0 <= i }!
    return (parts[k], i - starts[k])
  }

  public var path: String { parts.map(\.path).joined(separator: ", ") }
  public var count: Int { starts.last! }
  public var classNames: [String]? { nil }
  public var storedBytes: Int { parts.reduce(0) { $0 + $1.storedBytes } }

  public func label(_ i: Int) -> Int? { nil }

  public func name(_ i: Int) -> String {
    let (source, index) = part(i)
    return source.name(index)
  }

  public func place(_ i: Int) -> String {
    let (source, index) = part(i)
    return source.place(index)
  }

  public func contents(_ i: Int) throws -> ImageContents {
    let (source, index) = part(i)
    return try source.contents(index)
  }

  public func size(_ i: Int) throws -> ImageSize {
    let (source, index) = part(i)
    return try source.size(index)
  }

  public func image(_ i: Int) throws -> ImageBuffer {
    let (source, index) = part(i)
    return try source.image(index)
  }
}

/// Opens what a person names as pictures: single files, and sets of any kind (`ImageLocation`).
///
/// Throws what opening them throws.
public func openPictures(_ places: [String]) throws -> any ImageSource {
  let sources = try places.map { place -> any ImageSource in
    let name = place.lowercased()
    let isSet = [".tar", ".zip", ".lmdb", ".mdb"].contains(where: name.hasSuffix)
    let isFile = FileManager.default.fileExists(atPath: place) && !isFolder(place)
    return isFile && !isSet ? try PictureFile(place) : try openImageSource(place)
  }
  return sources.count == 1 ? sources[0] : JoinedImages(sources)
}
