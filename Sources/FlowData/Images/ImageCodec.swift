import CImage
import Diagnostics

/// Width and height, in pixels.
public struct ImageSize: Equatable, Hashable, Sendable, CustomStringConvertible {
  public var width: Int
  public var height: Int

  public init(width: Int, height: Int) {
    self.width = width
    self.height = height
  }

  public var description: String { "\(width)×\(height)" }
}

/// The largest side of an image that is read or written; checked before pixels are allocated.
public let maximumImageSide = Int(CIMAGE_MAX_SIDE)

extension ImageBuffer {
  public var size: ImageSize { ImageSize(width: width, height: height) }

  /// Reads a PNG or JPEG file; the first bytes tell which, not the name.
  ///
  /// Everything becomes RGB8: grey is repeated, palettes are looked up, alpha is dropped (not
  /// blended), 16-bit samples keep their high byte, CMYK is converted without a profile. Colour
  /// profiles, gamma and EXIF orientation are ignored.
  ///
  /// Throws `.missingInput`, `.io`, or `.badData` with the byte where the file breaks.
  public init(contentsOf path: String) throws {
    try self.init(encoded: ImageFile.read(path), name: path)
  }

  /// Decodes PNG or JPEG data; `name` stands for it in errors.
  public init(encoded bytes: [UInt8], name: String) throws {
    guard !bytes.isEmpty else { throw ImageFile.emptyFile(name) }
    switch ImageFormat(bytes) {
    case .png: self = try PNG.read(bytes, name: name)
    case .jpeg: self = try JPEG.read(bytes, name: name)
    case nil: throw ImageFormat.unknown(bytes, name: name)
    }
  }

  /// Writes an RGB8 PNG. The bytes depend on the pixels alone.
  /// Throws `.io` naming the file, also when the disk is full.
  public func writePNG(to path: String) throws {
    try PNG.write(pixels, size: size, channels: 3, palette: nil, to: path)
  }

  /// The file that `writePNG` writes.
  public func encodedPNG() throws -> [UInt8] {
    try PNG.encode(pixels, size: size, channels: 3, palette: nil, name: "PNG image") {
      Array($0)
    }
  }
}

extension LabelMap {
  /// Reads the stored values of a grey or palette PNG of at most 8 bits, unscaled: the labels are
  /// the grey values or the palette numbers themselves. Throws as `ImageBuffer.init`.
  public init(contentsOf path: String) throws {
    self = try PNG.readValues(ImageFile.read(path), name: path)
  }

  /// Writes an 8-bit grey PNG whose values are the labels or, with a `palette` of one colour per
  /// label, a palette PNG that picture viewers show in these colours.
  public func writePNG(to path: String, palette: [SIMD3<UInt8>]? = nil) throws {
    if let palette {
      let highest = Int(labels.max() ?? 0)
      precondition(
        palette.count <= 256 && highest < palette.count,
        "label \(highest) with a palette of \(palette.count) colours")
    }
    try PNG.write(
      labels, size: ImageSize(width: width, height: height), channels: 1,
      palette: palette?.flatMap { [$0.x, $0.y, $0.z] }, to: path)
  }
}

/// Reads the size of a PNG or JPEG file from its header, without decoding it.
public func imageSize(ofFile path: String) throws -> ImageSize {
  // The frame header follows the profiles and thumbnails; those rarely exceed this.
  let headBytes = 1 << 16
  let head = try ImageFile.read(path, limit: headBytes)
  switch ImageFormat(head) {
  case .png:
    if let header = try? PNG.header(head, name: path) { return header.size }
    return try PNG.header(ImageFile.read(path), name: path).size
  case .jpeg:
    if let header = try? JPEG.header(head, name: path) { return header.size }
    return try JPEG.header(ImageFile.read(path), name: path).size
  case nil: throw ImageFormat.unknown(head, name: path)
  }
}

/// The file formats that are read, told apart by their first bytes.
enum ImageFormat {
  case png, jpeg

  init?(_ bytes: [UInt8]) {
    if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]) {
      self = .png
    } else if bytes.starts(with: [0xFF, 0xD8]) {
      self = .jpeg
    } else {
      return nil
    }
  }

  static func unknown(_ bytes: [UInt8], name: String) -> UserError {
    let digits = bytes.prefix(8).map { byte in
      let text = String(byte, radix: 16)
      return text.count == 1 ? "0" + text : text
    }
    return UserError(
      .badData, name, at: "byte 0",
      found: "neither PNG nor JPEG (\(digits.joined(separator: " ")))",
      expected: "a PNG or JPEG file",
      advice: "convert it, or remove it from the folder")
  }
}

/// Refuses sizes beyond the limits, before anything is allocated for them.
func checkImageSize(_ size: ImageSize, name: String) throws {
  let allowed = 1...maximumImageSide
  guard allowed.contains(size.width), allowed.contains(size.height) else {
    throw UserError(
      .badData, name, found: "an image of \(size)",
      expected: "sides of 1 to \(maximumImageSide) pixels")
  }
}
