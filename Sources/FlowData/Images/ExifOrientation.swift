/// What is done about a camera's note that a picture is to be turned (EXIF 2.32, tag 0x0112).
public enum ExifPolicy: String, Codable, Sendable, CaseIterable {
  /// Pixels as they are stored: what the reference loaders see.
  case ignore
  /// Turned and mirrored as the note says: what picture viewers show.
  case apply
}

/// The orientation of a picture: 1 upright, 2 mirrored, 3 upside down …, as TIFF 6.0 numbers them.
enum ExifOrientation {
  /// 1 where the file has no note or one that cannot be read: the note is decoration, and a broken
  /// one is no reason to refuse the pixels.
  static func orientation(of bytes: [UInt8], _ format: ImageFormat) -> Int {
    let block: ArraySlice<UInt8>?
    switch format {
    case .jpeg: block = jpegBlock(bytes)
    case .png: block = pngBlock(bytes)
    case .webp: block = webpBlock(bytes)
    }
    return block.flatMap(tiffOrientation) ?? 1
  }

  private static let mark = Array("Exif\0\0".utf8)

  /// The TIFF block of segment APP1 before the first scan.
  private static func jpegBlock(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
    var at = 2
    while at + 4 <= bytes.count, bytes[at] == 0xFF, bytes[at + 1] != 0xDA {
      let end = at + 2 + Int(bytes[at + 2]) << 8 + Int(bytes[at + 3])
      guard end > at + 3, end <= bytes.count else { return nil }
      let body = bytes[at + 4..<max(end, at + 4)]
      if bytes[at + 1] == 0xE1, body.starts(with: mark) { return body.dropFirst(mark.count) }
      at = end
    }
    return nil
  }

  private static func pngBlock(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
    chunk("eXIf", in: bytes, from: 8) { at in
      (bytes[at + 4..<at + 8], big(bytes[at..<at + 4]), trailer: 4)
    }
  }

  private static func webpBlock(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
    let block = chunk("EXIF", in: bytes, from: 12) { at in
      let length = big(bytes[at + 4..<at + 8].reversed())
      return (bytes[at..<at + 4], length, trailer: length & 1)
    }
    guard let block else { return nil }
    return block.starts(with: mark) ? block.dropFirst(mark.count) : block
  }

  /// The data of the first chunk `type`, of chunks with headers of 8 bytes.
  private static func chunk(
    _ type: String, in bytes: [UInt8], from start: Int,
    header: (Int) -> (type: ArraySlice<UInt8>, length: Int, trailer: Int)
  ) -> ArraySlice<UInt8>? {
    var at = start
    while at + 8 <= bytes.count {
      let (found, length, trailer) = header(at)
      guard at + 8 + length <= bytes.count else { return nil }
      if found.elementsEqual(type.utf8) { return bytes[at + 8..<at + 8 + length] }
      at += 8 + length + trailer
    }
    return nil
  }

  /// The entry 0x0112 of the first directory: byte order, offset of the directory, then entries of
  /// 12 bytes (tag, type 3 = 16 bits, count 1, value).
  private static func tiffOrientation(_ tiff: ArraySlice<UInt8>) -> Int? {
    let block = Array(tiff)
    guard block.count >= 8 else { return nil }
    let isLittle = block[0] == 0x49
    func number(_ at: Int, _ count: Int) -> Int? {
      guard at >= 0, at + count <= block.count else { return nil }
      let field = block[at..<at + count]
      return isLittle ? big(field.reversed()) : big(field)
    }
    guard number(2, 2) == 42, let directory = number(4, 4), let entries = number(directory, 2)
    else { return nil }
    for i in 0..<entries {
      let at = directory + 2 + 12 * i
      guard let tag = number(at, 2) else { return nil }
      guard tag == 0x0112 else { continue }
      guard number(at + 2, 2) == 3, let value = number(at + 8, 2) else { return nil }
      return (1...8).contains(value) ? value : nil
    }
    return nil
  }

  private static func big(_ bytes: some Sequence<UInt8>) -> Int {
    bytes.reduce(0) { $0 << 8 | Int($1) }
  }
}

extension ImageBuffer {
  /// The picture as a viewer shows it whose stored form carries `orientation` (1 to 8).
  func turned(orientation: Int) -> ImageBuffer {
    precondition((1...8).contains(orientation), "orientation \(orientation)")
    guard orientation != 1 else { return self }
    let isTransposed = orientation >= 5
    let (outWidth, outHeight) = isTransposed ? (height, width) : (width, height)
    // 2, 3, 7, 8 read stored columns backwards; 3, 4, 6, 7 stored rows.
    let mirrorsX = [2, 3, 7, 8].contains(orientation)
    let mirrorsY = [3, 4, 6, 7].contains(orientation)
    var result = ImageBuffer(width: outWidth, height: outHeight, gray: 0)
    for y in 0..<outHeight {
      for x in 0..<outWidth {
        let (column, row) = isTransposed ? (y, x) : (x, y)
        result[x, y] = self[
          mirrorsX ? width - 1 - column : column, mirrorsY ? height - 1 - row : row]
      }
    }
    return result
  }
}
