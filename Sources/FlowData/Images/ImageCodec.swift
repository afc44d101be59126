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

/// The largest number of pixels of an image; decoding one takes up to 1 GB.
public let maximumImagePixels = 1 << 27

extension ImageBuffer {
  public var size: ImageSize { ImageSize(width: width, height: height) }

  /// Reads a PNG, JPEG or WebP file; the first bytes tell which, not the name.
  ///
  /// Everything becomes RGB8: grey is repeated, palettes are looked up, alpha is dropped (not
  /// blended), 16-bit samples keep their high byte, CMYK is converted without a profile. Colour
  /// profiles and gamma are ignored; EXIF orientation too, unless `exif` says otherwise.
  ///
  /// Throws `.missingInput`, `.io`, or `.badData` with the byte where the file breaks.
  public init(contentsOf path: String, exif: ExifPolicy = .ignore) throws {
    try self.init(encoded: ImageFile.read(path), name: path, exif: exif)
  }

  /// Decodes PNG, JPEG or WebP data; `name` stands for it in errors.
  public init(encoded bytes: [UInt8], name: String, exif: ExifPolicy = .ignore) throws {
    guard !bytes.isEmpty else { throw ImageFile.emptyFile(name) }
    guard let format = ImageFormat(bytes) else { throw ImageFormat.unknown(bytes, name: name) }
    let image =
      switch format {
      case .png: try PNG.read(bytes, name: name)
      case .jpeg: try JPEG.read(bytes, name: name)
      case .webp: try WebP.read(bytes, name: name)
      }
    self =
      exif == .apply
      ? image.turned(orientation: ExifOrientation.orientation(of: bytes, format)) : image
  }

  /// Writes an RGB8 PNG. The bytes depend on the pixels alone.
  /// Throws `.io` naming the file, also when the disk is full.
  public func writePNG(to path: String) throws {
    try PNG.write(pixels, size: size, channels: 3, palette: nil, to: path)
  }

  /// A JPEG file's bytes, chroma halved.
  ///
  /// - Parameter quality: 1 … 100
  public func encodedJPEG(quality: Int) throws -> [UInt8] {
    precondition((1...100).contains(quality), "JPEG of quality \(quality)")
    return try JPEG.encode(self, quality: quality)
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

/// Reads the size of a PNG, JPEG or WebP file from its header, without decoding it.
public func imageSize(ofFile path: String) throws -> ImageSize {
  // The frame header follows the profiles and thumbnails; those rarely exceed this.
  let headBytes = 1 << 16
  let head = try ImageFile.read(path, limit: headBytes)
  if head.count == headBytes, let size = try? imageSize(encoded: head, name: path) { return size }
  return try imageSize(encoded: head.count < headBytes ? head : ImageFile.read(path), name: path)
}

/// The size of PNG, JPEG or WebP data; `name` stands for it in errors.
public func imageSize(encoded bytes: [UInt8], name: String) throws -> ImageSize {
  guard !bytes.isEmpty else { throw ImageFile.emptyFile(name) }
  switch ImageFormat(bytes) {
  case .png: return try PNG.header(bytes, name: name).size
  case .jpeg: return try JPEG.header(bytes, name: name).size
  case .webp: return try WebP.size(bytes, name: name)
  case nil: throw ImageFormat.unknown(bytes, name: name)
  }
}

/// The file formats that are read, told apart by their first bytes.
enum ImageFormat {
  case png, jpeg, webp

  init?(_ bytes: [UInt8]) {
    if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]) {
      self = .png
    } else if bytes.starts(with: [0xFF, 0xD8]) {
      self = .jpeg
    } else if bytes.count >= 12, bytes.starts(with: "RIFF".utf8),
      bytes[8..<12].elementsEqual("WEBP".utf8)
    {
      self = .webp
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
      found: "neither PNG, JPEG nor WebP (\(digits.joined(separator: " ")))",
      expected: "a PNG, JPEG or WebP file",
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
  guard size.width * size.height <= maximumImagePixels else {
    throw UserError(
      .badData, name, found: "an image of \(size)",
      expected: "at most \(maximumImagePixels) pixels")
  }
}
