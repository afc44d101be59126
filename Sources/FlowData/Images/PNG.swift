import CImage
import Diagnostics
import Foundation

/// PNG (ISO/IEC 15948) through libpng.
enum PNG {
  struct Header {
    var size: ImageSize
    var colorType: Int
    var bitDepth: Int

    /// Bytes of one stored row before compression, without its filter byte.
    var rowBytes: Int {
      let samples = [0: 1, 2: 3, 3: 1, 4: 2, 6: 4][colorType, default: 4]
      return (size.width * samples * bitDepth + 7) / 8
    }
  }

  static func header(_ bytes: [UInt8], name: String) throws -> Header {
    // IHDR comes first and holds width and height as big-endian words: libpng would refuse a
    // large one without saying how large it is.
    if bytes.count >= 24 {
      let side = { (at: Int) in bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) } }
      try checkImageSize(ImageSize(width: side(16), height: side(20)), name: name)
    }
    var info = cimage_png_info()
    var failure = cimage_failure()
    guard cimage_png_header(bytes, bytes.count, &info, &failure) == 0 else {
      throw decodeError(failure, bytes, name: name)
    }
    return Header(
      size: ImageSize(width: Int(info.width), height: Int(info.height)),
      colorType: Int(info.color_type), bitDepth: Int(info.bit_depth))
  }

  static func read(_ bytes: [UInt8], name: String) throws -> ImageBuffer {
    let size = try checkedHeader(bytes, name: name).size
    let pixels = try decode(bytes, name: name, count: size.width * size.height * 3) {
      cimage_png_read_rgb(bytes, bytes.count, $0, &$1)
    }
    return ImageBuffer(width: size.width, height: size.height, pixels: pixels)
  }

  static func readValues(_ bytes: [UInt8], name: String) throws -> LabelMap {
    guard ImageFormat(bytes) == .png else {
      throw UserError(
        .badData, name, at: "byte 0", found: "not a PNG file", expected: "a label map as PNG")
    }
    let header = try checkedHeader(bytes, name: name)
    guard [0, 3].contains(header.colorType), header.bitDepth <= 8 else {
      let kind = [0: "grey", 2: "RGB", 4: "grey with alpha", 6: "RGBA"][header.colorType] ?? "?"
      throw UserError(
        .badData, name, found: "\(header.bitDepth)-bit \(kind) samples",
        expected: "a label map: grey or palette, at most 8 bits")
    }
    let size = header.size
    let values = try decode(bytes, name: name, count: size.width * size.height) {
      cimage_png_read_values(bytes, bytes.count, $0, &$1)
    }
    return LabelMap(width: size.width, height: size.height, labels: values)
  }

  static func write(
    _ pixels: [UInt8], size: ImageSize, channels: Int, palette: [UInt8]?, to path: String
  ) throws {
    try encode(pixels, size: size, channels: channels, palette: palette, name: path) {
      try ImageFile.write($0, to: path)
    }
  }

  static func encode<Result>(
    _ pixels: [UInt8], size: ImageSize, channels: Int, palette: [UInt8]?, name: String,
    _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    try checkImageSize(size, name: name)
    var out: UnsafeMutablePointer<UInt8>?
    var count = 0
    var failure = cimage_failure()
    let status = cimage_png_write(
      pixels, UInt32(size.width), UInt32(size.height), Int32(channels), palette,
      Int32((palette?.count ?? 0) / 3), &out, &count, &failure)
    guard status == 0 else { throw UserError(.internal, name, found: "libpng: \(failure.text)") }
    defer { free(out) }
    return try body(UnsafeRawBufferPointer(start: out, count: count))
  }

  /// The header of a file whose chunks are all there and can hold as many pixels as it says.
  private static func checkedHeader(_ bytes: [UInt8], name: String) throws -> Header {
    let header = try header(bytes, name: name)
    try checkChunks(bytes, name: name)
    // Deflate (RFC 1951) makes at most 1032 bytes of one.
    let raw = (header.rowBytes + 1) * header.size.height
    guard raw / 1032 <= bytes.count else {
      throw UserError(
        .badData, name, found: "\(bytes.count) bytes for \(header.size) pixels",
        expected: "at least \(raw / 1032) bytes")
    }
    return header
  }

  private static func decode(
    _ bytes: [UInt8], name: String, count: Int,
    _ body: (UnsafeMutablePointer<UInt8>, inout cimage_failure) -> Int32
  ) throws -> [UInt8] {
    var failure = cimage_failure()
    var status: Int32 = 0
    let pixels = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      // Rows that a broken file does not reach never leave this function.
      status = body(buffer.baseAddress!, &failure)
      filled = count
    }
    guard status == 0 else { throw decodeError(failure, bytes, name: name) }
    return pixels
  }

  /// Walks the chunks (4 bytes length, 4 type, data, 4 CRC) and throws where the file ends early.
  private static func checkChunks(_ bytes: [UInt8], name: String) throws {
    var last = "the signature"
    for chunk in chunks(bytes) {
      guard chunk.end <= bytes.count else {
        throw UserError(
          .badData, name, at: "byte \(bytes.count)",
          found: "the file ends inside the chunk \(chunk.type) that starts at byte \(chunk.start)",
          expected: "\(chunk.end - bytes.count) more bytes of it", advice: truncatedAdvice)
      }
      if chunk.type == "IEND" { return }
      last = "the chunk \(chunk.type)"
    }
    throw UserError(
      .badData, name, at: "byte \(bytes.count)", found: "the file ends after \(last)",
      expected: "further chunks up to IEND", advice: truncatedAdvice)
  }

  private static let truncatedAdvice =
    "the copy that made it may have been cut short: copy it again or remove it"

  private struct Chunk {
    var type: String
    var start: Int
    /// Just behind its CRC; beyond the file if that is cut short.
    var end: Int
  }

  private static func chunks(_ bytes: [UInt8]) -> [Chunk] {
    var found: [Chunk] = []
    var start = 8
    while start + 8 <= bytes.count {
      let length = bytes[start..<start + 4].reduce(0) { $0 << 8 | Int($1) }
      let letters = bytes[start + 4..<start + 8].map { (65...122).contains($0) ? $0 : 63 }
      let chunk = Chunk(
        type: String(decoding: letters, as: UTF8.self), start: start, end: start + 12 + length)
      found.append(chunk)
      if chunk.type == "IEND" { break }
      start = chunk.end
    }
    return found
  }

  /// Places libpng's complaint at the start of the chunk that it was reading.
  private static func decodeError(
    _ failure: cimage_failure, _ bytes: [UInt8], name: String
  ) -> UserError {
    let chunk = chunks(bytes).last { $0.start < max(failure.offset, 9) }
    let text = failure.text
    return UserError(
      .badData, name, at: "byte \(chunk?.start ?? failure.offset)",
      found: chunk.map { "damaged at the chunk \($0.type) (\(text))" } ?? text,
      expected: "a valid PNG file", advice: "copy it again or remove it")
  }
}
