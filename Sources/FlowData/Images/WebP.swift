import CImage
import Diagnostics

/// WebP (RFC 9649), lossy and lossless, through libwebp; still pictures only.
enum WebP {
  static func size(_ bytes: [UInt8], name: String) throws -> ImageSize {
    var info = cimage_webp_info()
    var failure = cimage_failure()
    guard cimage_webp_header(bytes, bytes.count, &info, &failure) == 0 else {
      throw decodeError(failure, bytes, name: name)
    }
    guard info.is_animated == 0 else {
      throw UserError(
        .badData, name, found: "an animated WebP", expected: "a still picture",
        advice: "save the frame that is wanted as a file of its own")
    }
    let size = ImageSize(width: Int(info.width), height: Int(info.height))
    try checkImageSize(size, name: name)
    return size
  }

  static func read(_ bytes: [UInt8], name: String) throws -> ImageBuffer {
    let size = try size(bytes, name: name)
    // libwebp takes a file that lacks its last bytes for whole where the pixels need them not.
    let stated = 8 + bytes[4..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard stated <= bytes.count else { throw truncated(bytes, "\(stated) bytes", name) }
    var failure = cimage_failure()
    var status: Int32 = 0
    let count = size.width * size.height * 3
    let pixels = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      status = cimage_webp_read(
        bytes, bytes.count, Int32(size.width), Int32(size.height), buffer.baseAddress, &failure)
      filled = count
    }
    guard status == 0 else { throw decodeError(failure, bytes, name: name) }
    return ImageBuffer(width: size.width, height: size.height, pixels: pixels)
  }

  private static func truncated(_ bytes: [UInt8], _ expected: String, _ name: String) -> UserError {
    UserError(
      .badData, name, at: "byte \(bytes.count)", found: "the file ends early", expected: expected,
      advice: "the copy that made it may have been cut short: copy it again or remove it")
  }

  private static func decodeError(
    _ failure: cimage_failure, _ bytes: [UInt8], name: String
  ) -> UserError {
    if failure.text == "the file ends early" { return truncated(bytes, "a whole WebP file", name) }
    return UserError(
      .badData, name, found: "damaged (\(failure.text))", expected: "a valid WebP file",
      advice: "copy it again or remove it")
  }
}
