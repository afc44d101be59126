import Diagnostics

/// How pictures become what a network reads.
public struct Preparation: Equatable, Codable, Sendable {
  /// nil leaves pictures at their size, which must then be one for all.
  public var fit: ImageFit?
  public var exif: ExifPolicy

  public init(fit: ImageFit? = nil, exif: ExifPolicy = .ignore) {
    self.fit = fit
    self.exif = exif
  }

  /// Part of what a fingerprint is taken over.
  var text: String {
    (fit.map { "\($0)" } ?? "none") + (exif == .apply ? ", exif applied" : "")
  }
}

/// The pictures of another source, turned and fitted to one size.
public struct PreparedImages: ImageSource {
  public let base: any ImageSource
  public let preparation: Preparation
  /// What every picture must measure if nothing fits them.
  private let size: ImageSize?

  /// Throws what the first picture throws, where its size is that of all.
  public init(_ base: any ImageSource, _ preparation: Preparation) throws {
    self.base = base
    self.preparation = preparation
    size = preparation.fit == nil && base.count > 0
      ? try Self.unfitted(base, 0, preparation.exif) : nil
  }

  public init(_ base: any ImageSource, fit: ImageFit? = nil) throws {
    try self.init(base, Preparation(fit: fit))
  }

  private static func unfitted(
    _ base: any ImageSource, _ i: Int, _ exif: ExifPolicy
  ) throws -> ImageSize {
    guard exif == .apply else { return try base.size(i) }
    return try base.contents(i).decoded(name: base.place(i), exif: exif).size
  }

  public var path: String { base.path }
  public var count: Int { base.count }
  public var classNames: [String]? { base.classNames }
  public var storedBytes: Int { base.storedBytes }

  public func label(_ i: Int) -> Int? { base.label(i) }
  public func name(_ i: Int) -> String { base.name(i) }
  public func place(_ i: Int) -> String { base.place(i) }
  public func contents(_ i: Int) throws -> ImageContents { .pixels(try image(i)) }

  public func image(_ i: Int) throws -> ImageBuffer {
    let image = try base.contents(i).decoded(name: base.place(i), exif: preparation.exif)
    if let fit = preparation.fit { return image.fitted(fit, index: i) }
    try checkSize(image.size, i)
    return image
  }

  public func size(_ i: Int) throws -> ImageSize {
    if let side = preparation.fit?.size { return ImageSize(width: side, height: side) }
    return try Self.unfitted(base, i, preparation.exif)
  }

  /// Reads the header of every picture: throws what `image` would throw for a wrong size or a file
  /// that is no picture. Damage further inside shows only when a picture is decoded.
  public func checkHeaders() throws {
    for i in 0..<count {
      if preparation.fit == nil { try checkSize(try size(i), i) } else { _ = try base.size(i) }
    }
  }

  private func checkSize(_ found: ImageSize, _ i: Int) throws {
    guard let size, found != size else { return }
    throw UserError(
      .badData, place(i), found: "an image of \(found)", expected: "\(size) like \(name(0))",
      advice: "give the size that all images shall be cropped and resized to (--size)")
  }

  public var mapClasses: Int? { base.mapClasses }

  /// Maps follow no EXIF note: `encode` refuses both together.
  public func map(_ i: Int) throws -> LabelMap? {
    guard let map = try base.map(i) else { return nil }
    guard let fit = preparation.fit else { return map }
    return map.fitted(fit, image: try base.size(i), index: i)
  }

  /// A hash over all label maps as they are prepared.
  public func mapFingerprint() throws -> String {
    let hasher = SHA256Hasher()
    for i in 0..<count {
      guard let map = try map(i) else { continue }
      hasher.update("\(map.width) \(map.height)\n")
      map.labels.withUnsafeBytes { hasher.update($0) }
    }
    return hasher.finalizeHex()
  }

  public func fingerprint() throws -> String { try base.fingerprints([preparation])[0] }
}
