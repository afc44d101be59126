import CImage
import Diagnostics
import Foundation

/// JPEG (ITU-T T.81) through TurboJPEG.
enum JPEG {
  struct Header {
    var size: ImageSize
    var isCMYK: Bool
  }

  static func header(_ bytes: [UInt8], name: String) throws -> Header {
    var info = cimage_jpeg_info()
    var failure = cimage_failure()
    guard cimage_jpeg_header(bytes, bytes.count, &info, &failure) == 0 else {
      throw decodeError(failure, bytes, name: name)
    }
    let size = ImageSize(width: Int(info.width), height: Int(info.height))
    // A file of tables alone is valid JPEG; its size reads as 0 × 0.
    guard size != ImageSize(width: 0, height: 0) else {
      throw UserError(
        .badData, name, at: "byte \(bytes.count)", found: "the file ends before its frame header",
        expected: "an image", advice: "copy it again or remove it")
    }
    try checkImageSize(size, name: name)
    return Header(size: size, isCMYK: info.is_cmyk != 0)
  }

  static func read(_ bytes: [UInt8], name: String) throws -> ImageBuffer {
    let header = try header(bytes, name: name)
    let (width, height) = (header.size.width, header.size.height)
    let channels = header.isCMYK ? 4 : 3
    var failure = cimage_failure()
    var status: Int32 = 0
    let count = width * height * channels
    var pixels = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      status = cimage_jpeg_read(
        bytes, bytes.count, Int32(width), Int32(height), Int32(channels), buffer.baseAddress,
        &failure)
      filled = count
    }
    guard status == 0 else { throw decodeError(failure, bytes, name: name) }
    if header.isCMYK { pixels = rgb(fromCMYK: pixels, inverted: hasAdobeMarker(bytes)) }
    return ImageBuffer(width: width, height: height, pixels: pixels)
  }

  static func encode(_ image: ImageBuffer, quality: Int) throws -> [UInt8] {
    var failure = cimage_failure()
    var bytes: UnsafeMutablePointer<UInt8>?
    var count = 0
    guard
      cimage_jpeg_write(
        image.pixels, UInt32(image.width), UInt32(image.height), Int32(quality), &bytes, &count,
        &failure) == 0, let bytes
    else { throw decodeError(failure, [], name: "JPEG in memory") }
    defer { free(bytes) }
    return Array(UnsafeBufferPointer(start: bytes, count: count))
  }

  /// The naive conversion, R = (1 − C)(1 − K). Adobe's programs store 255 − C.
  private static func rgb(fromCMYK cmyk: [UInt8], inverted: Bool) -> [UInt8] {
    var rgb = [UInt8](repeating: 0, count: cmyk.count / 4 * 3)
    let flip: UInt8 = inverted ? 0 : 255
    for i in 0..<cmyk.count / 4 {
      let key = Int(cmyk[4 * i + 3] ^ flip)
      for c in 0..<3 { rgb[3 * i + c] = UInt8((Int(cmyk[4 * i + c] ^ flip) * key + 127) / 255) }
    }
    return rgb
  }

  /// Whether there is an APP14 segment "Adobe" before the first scan.
  private static func hasAdobeMarker(_ bytes: [UInt8]) -> Bool {
    var at = 2
    while at + 9 <= bytes.count, bytes[at] == 0xFF, bytes[at + 1] != 0xDA {
      if bytes[at + 1] == 0xEE && bytes[at + 4..<at + 9].elementsEqual("Adobe".utf8) { return true }
      at += 2 + Int(bytes[at + 2]) << 8 + Int(bytes[at + 3])
    }
    return false
  }

  /// TurboJPEG does not say where it stopped; a premature end is at the end of the file.
  private static func decodeError(
    _ failure: cimage_failure, _ bytes: [UInt8], name: String
  ) -> UserError {
    let text = failure.text
    let early = text.contains("Premature end") || !bytes.suffix(2).elementsEqual([0xFF, 0xD9])
    return UserError(
      .badData, name, at: early ? "byte \(bytes.count)" : nil,
      found: early ? "the file ends early (\(text))" : "damaged (\(text))",
      expected: early ? "image data up to the end marker" : "a valid JPEG file",
      advice: "copy it again or remove it")
  }
}
