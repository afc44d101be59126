import Diagnostics
import FlowData
import FlowTensor
import Foundation
import Testing

@Suite("Image files") struct ImagesCodecTests {
  @Test(
    "read as the reference reads them",
    arguments: [
      "rgb8", "rgba8", "gray8", "gray_alpha8", "palette4", "palette8_interlaced", "rgb16", "gray1",
      "rgb8_interlaced", "rgb8_ancillary", "rgb8_1x1",
    ])
  func png(_ name: String) throws {
    let expected = try ReferenceBytes("files/images.expected.safetensors").image("\(name).rgb")
    let path = "\(fixtures)/files/image_\(name).png"
    #expect(try ImageBuffer(contentsOf: path) == expected)
    #expect(try imageSize(ofFile: path) == expected.size)
  }

  /// The reference library clips 16-bit grey at 255, which leaves nothing of a picture; the high
  /// byte is what it keeps of 16-bit colour.
  @Test func sixteenBitGreyKeepsItsHighByte() throws {
    let (_, data) = try ReferenceBytes("files/images.expected.safetensors")
      .bytes("gray16.samples")
    let samples = data.withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
    let image = try ImageBuffer(contentsOf: "\(fixtures)/files/image_gray16.png")
    #expect(image.pixels == samples.flatMap { [UInt8](repeating: UInt8($0 >> 8), count: 3) })
  }

  @Test(
    "JPEG within one level of the reference",
    arguments: [
      "rgb444", "rgb420", "rgb422", "gray", "progressive", "cmyk", "optimized", "exif_rotated",
      "restart",
    ])
  func jpeg(_ name: String) throws {
    let expected = try ReferenceBytes("files/images.expected.safetensors")
      .image("jpg_\(name).rgb")
    let path = "\(fixtures)/files/image_\(name).jpg"
    #expect(largestDifference(try ImageBuffer(contentsOf: path), expected) <= 1)
    #expect(try imageSize(ofFile: path) == expected.size)
  }

  /// Within one level: the lossy form may differ between versions of libwebp's conversion to RGB.
  @Test(
    "WebP as the reference reads it",
    arguments: [("lossless", 0), ("alpha", 0), ("exif", 0), ("lossy", 1), ("lossy_alpha", 1)])
  func webp(_ row: (name: String, tolerance: Int)) throws {
    let expected = try ReferenceBytes("files/webp.expected.safetensors").image("\(row.name).rgb")
    let path = "\(fixtures)/files/image_\(row.name).webp"
    let image = try ImageBuffer(contentsOf: path)
    #expect(largestDifference(image, expected) <= row.tolerance)
    #expect(try imageSize(ofFile: path) == expected.size)
  }

  /// The note is ignored unless asked for; the three hold orientation 6, a quarter turn clockwise.
  @Test(arguments: ["image_exif_rotated.jpg", "image_exif6.png", "image_exif.webp"])
  func exifOrientation(_ name: String) throws {
    let path = "\(fixtures)/files/\(name)"
    let stored = try ImageBuffer(contentsOf: path)
    #expect(stored.size == ImageSize(width: 32, height: 24))
    let shown = try ImageBuffer(contentsOf: path, exif: .apply)
    #expect(shown.size == ImageSize(width: 24, height: 32))
    for (x, y) in [(0, 0), (23, 0), (0, 31), (11, 5)] {
      #expect(shown[x, y] == stored[y, 23 - x], "(\(x), \(y))")
    }
  }

  /// TIFF 6.0's eight orientations: where row 0 and column 0 of the stored picture are seen.
  @Test func everyOrientationTurnsThePictureItsWay() throws {
    let corners: [UInt8: [UInt8]] = [  // upper left, upper right, lower left, lower right
      1: [1, 2, 3, 4], 2: [2, 1, 4, 3], 3: [4, 3, 2, 1], 4: [3, 4, 1, 2], 5: [1, 3, 2, 4],
      6: [3, 1, 4, 2], 7: [4, 2, 3, 1], 8: [2, 4, 1, 3],
    ]
    let picture = ImageBuffer(width: 2, height: 2, pixels: [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
    let png = try picture.encodedPNG()
    for (orientation, expected) in corners {
      // Byte order, 42, directory at 8, one entry: tag, type 3, count 1, value.
      let tiff: [UInt8] = [
        0x49, 0x49, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0,
      ]
      let chunk = [0, 0, 0, UInt8(tiff.count)] + Array("eXIf".utf8) + tiff
      let file = png[..<33] + chunk + crc32(chunk[4...]) + png[33...]
      let shown = try ImageBuffer(encoded: Array(file), name: "\(orientation)", exif: .apply)
      let seen = [(0, 0), (1, 0), (0, 1), (1, 1)].map { shown[$0.0, $0.1].x }
      #expect(seen == expected, "orientation \(orientation)")
    }
  }

  @Test(
    "broken files say where and what",
    arguments: [
      ("bad_png_truncated.png", "byte 513", "inside the chunk IDAT that starts at byte 287"),
      ("bad_png_crc.png", "byte 8", "CRC"),
      ("bad_png_huge.png", nil, "an image of"),
      ("bad_jpeg_truncated.jpg", "byte 446", "ends early"),
      ("bad_jpeg_header_only.jpg", "byte 20", "ends before its frame header"),
      ("bad_webp_truncated.webp", "byte 176", "ends early"),
      ("bad_webp_animated.webp", nil, "an animated WebP"),
    ])
  func broken(_ row: (file: String, place: String?, found: String)) throws {
    let path = "\(fixtures)/files/\(row.file)"
    let error = try userError { _ = try ImageBuffer(contentsOf: path) }
    #expect(error.status == .badData)
    #expect(error.subject == path)
    #expect(error.place == row.place)
    #expect(error.found.contains(row.found), "\(error)")
    #expect(error.expected != nil)
  }

  @Test func paletteIndexOutOfRangeDoesNoHarm() throws {
    let image = try? ImageBuffer(contentsOf: "\(fixtures)/files/bad_png_palette_index.png")
    #expect(image == nil || image!.pixels.count == image!.width * image!.height * 3)
  }

  /// Every prefix of a file is refused; none crashes.
  @Test("cut anywhere", arguments: ["image_rgb8.png", "image_rgb420.jpg", "image_lossy.webp"])
  func cutAnywhere(_ name: String) throws {
    let bytes = [UInt8](
      try Data(contentsOf: URL(fileURLWithPath: "\(fixtures)/files/\(name)")))
    for count in 0..<bytes.count {
      // The last two bytes of a JPEG are its end marker; the reference reads without them too.
      if name.hasSuffix("jpg") && count >= bytes.count - 2 { continue }
      let error = try userError {
        _ = try ImageBuffer(encoded: Array(bytes[..<count]), name: "cut to \(count)")
      }
      #expect(error.status == .badData)
    }
  }

  /// One changed byte anywhere gives an image of the same size or an error, never a crash.
  @Test(
    "one byte changed",
    arguments: [
      "image_palette4.png", "image_progressive.jpg", "image_lossy.webp", "image_exif.webp",
    ])
  func oneByteChanged(_ name: String) throws {
    let bytes = [UInt8](
      try Data(contentsOf: URL(fileURLWithPath: "\(fixtures)/files/\(name)")))
    for at in 0..<bytes.count {
      for change: UInt8 in [0x01, 0x80, 0xFF] {
        var changed = bytes
        changed[at] ^= change
        if let image = try? ImageBuffer(encoded: changed, name: "byte \(at)", exif: .apply) {
          #expect(image.pixels.count == image.width * image.height * 3)
        }
      }
    }
  }

  @Test func otherFilesAreNamed() throws {
    try withTemporaryFolder { folder in
      let rows: [(name: String, content: String, found: String)] = [
        ("empty.png", "", "0 bytes"), ("text.png", "hello", "neither PNG"),
      ]
      for row in rows {
        let path = "\(folder)/\(row.name)"
        try Data(row.content.utf8).write(to: URL(fileURLWithPath: path))
        let error = try userError { _ = try ImageBuffer(contentsOf: path) }
        #expect(error.status == .badData && error.subject == path)
        #expect(error.found.hasPrefix(row.found), "\(error)")
      }
      let missing = try userError { _ = try ImageBuffer(contentsOf: "\(folder)/none.png") }
      #expect(missing.status == .missingInput)
      let folderRead = try userError { _ = try ImageBuffer(contentsOf: folder) }
      #expect(folderRead.status == .badData && folderRead.found == "not a regular file")
    }
  }

  /// Sizes are refused before memory is taken for them: as many pixels as the sides allow would be
  /// too many.
  @Test func hugePicturesAreRefusedByTheirHeader() throws {
    let png = [UInt8](
      try Data(contentsOf: URL(fileURLWithPath: "\(fixtures)/files/image_rgb8.png")))
    for (width, height) in [(16385, 1), (1, 16385), (16384, 16384), (0x7FFF_FFFF, 0x7FFF_FFFF)] {
      var bytes = png
      for (at, side) in [(16, width), (20, height)] {
        for k in 0..<4 { bytes[at + k] = UInt8(truncatingIfNeeded: side >> (24 - 8 * k)) }
      }
      let error = try userError { _ = try ImageBuffer(encoded: bytes, name: "huge") }
      #expect(error.found == "an image of \(width)×\(height)")
    }
  }

  /// The bytes tell the format, not the name.
  @Test func formatComesFromTheContents() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/really-a-jpeg.png"
      try FileManager.default.copyItem(atPath: "\(fixtures)/files/image_gray.jpg", toPath: path)
      #expect(try ImageBuffer(contentsOf: path).size == ImageSize(width: 32, height: 24))
    }
  }

  @Test func writtenImagesReadBackTheSame() throws {
    try withTemporaryFolder { folder in
      for (width, height) in [(1, 1), (7, 3), (64, 64), (131, 5)] {
        let pixels = (0..<width * height * 3).map { UInt8(truncatingIfNeeded: $0 * 37 ^ $0 >> 3) }
        let image = ImageBuffer(width: width, height: height, pixels: pixels)
        let path = "\(folder)/\(width)x\(height).png"
        try image.writePNG(to: path)
        #expect(try ImageBuffer(contentsOf: path) == image)
        let file = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(try image.encodedPNG() == Array(file))
      }
    }
  }

  @Test func labelMapsKeepTheirValues() throws {
    try withTemporaryFolder { folder in
      let map = LabelMap(width: 16, height: 2, labels: (0..<32).map { UInt8($0 % 17) })
      let colors = (0..<17).map { SIMD3<UInt8>(UInt8($0 * 15), 255 - UInt8($0 * 7), 3) }
      try map.writePNG(to: "\(folder)/grey.png")
      try map.writePNG(to: "\(folder)/palette.png", palette: colors)
      #expect(try LabelMap(contentsOf: "\(folder)/grey.png") == map)
      #expect(try LabelMap(contentsOf: "\(folder)/palette.png") == map)
      let seen = try ImageBuffer(contentsOf: "\(folder)/palette.png")
      #expect(seen[5, 1] == colors[21 % 17])

      let grey = try LabelMap(contentsOf: "\(fixtures)/files/image_gray1.png")
      #expect(Set(grey.labels).isSubset(of: [0, 1]))
      let rgb = try userError {
        _ = try LabelMap(contentsOf: "\(fixtures)/files/image_rgb8.png")
      }
      #expect(rgb.status == .badData && rgb.found == "8-bit RGB samples")
    }
  }

  @Test func fullDiskNamesTheFile() throws {
    let image = ImageBuffer(width: 8, height: 8, gray: 3)
    let full = try userError { try image.writePNG(to: "/dev/full") }
    #expect(full.status == .io && full.subject == "/dev/full")
    #expect(full.found.contains("No space") && full.advice?.contains("disk") == true)
    #expect(FileManager.default.fileExists(atPath: "/dev/full"))
    let nowhere = try userError { try image.writePNG(to: "/nowhere/a.png") }
    #expect(nowhere.status == .io && nowhere.subject == "/nowhere/a.png")
  }

  @Test func sha256OfKnownMessages() throws {
    // FIPS 180-4 example and the empty message.
    let abc = Array("abc".utf8).withUnsafeBytes { sha256Hex(of: $0) }
    #expect(abc == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    let none = sha256Hex(of: UnsafeRawBufferPointer(start: nil, count: 0))
    #expect(none == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    try withTemporaryFolder { folder in
      let bytes = [UInt8](repeating: 0x61, count: 3 << 20 + 5)
      try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/a"))
      #expect(try sha256Hex(ofFile: "\(folder)/a") == bytes.withUnsafeBytes { sha256Hex(of: $0) })
      #expect(try userError { _ = try sha256Hex(ofFile: "\(folder)/b") }.status == .missingInput)
      #expect(try userError { _ = try sha256Hex(ofFile: folder) }.status == .io)
    }
  }
}

/// CRC-32 as PNG stores it (ISO/IEC 15948, annex D), most significant byte first.
private func crc32(_ bytes: some Sequence<UInt8>) -> [UInt8] {
  var crc: UInt32 = 0xFFFF_FFFF
  for byte in bytes {
    crc ^= UInt32(byte)
    for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
  }
  return (0..<4).map { UInt8(truncatingIfNeeded: ~crc >> (24 - 8 * $0)) }
}
