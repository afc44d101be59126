import Diagnostics
import FlowData
import Foundation
import Testing

@Suite struct MaskFileTests {
  private static let size = ImageSize(width: 8, height: 6)

  /// Holes in the left half.
  private static let mask = HoleMask(
    width: 8, height: 6, levels: (0..<48).map { $0 % 8 < 4 ? 0 : 255 })

  @Test("the hole is black in files, whatever kind they are")
  func formats() throws {
    try withTemporaryFolder { folder in
      try Self.mask.writePNG(to: "\(folder)/grey.png")
      try Self.mask.image.writePNG(to: "\(folder)/color.png")
      try Data(Self.mask.image.encodedJPEG(quality: 30))
        .write(to: URL(fileURLWithPath: "\(folder)/lossy.jpg"))
      #expect(try HoleMask(contentsOf: "\(folder)/grey.png") == Self.mask)
      #expect(try HoleMask(contentsOf: "\(folder)/color.png") == Self.mask)
      let lossy = try HoleMask(contentsOf: "\(folder)/lossy.jpg")
      #expect(lossy.area == 0.5 && lossy.isHole(0, 0) && !lossy.isHole(7, 5))
      #expect(lossy.levels.contains { $0 != 0 && $0 != 255 })
      let labels = try LabelMap(contentsOf: "\(folder)/grey.png")
      #expect(labels.labels[0] == 0 && labels.labels[7] == 255)
    }
  }

  @Test("colours become grey as Pillow's")
  func luma() throws {
    try withTemporaryFolder { folder in
      var image = ImageBuffer(width: 4, height: 1, gray: 0)
      (image[0, 0], image[1, 0]) = (SIMD3(255, 0, 0), SIMD3(0, 255, 0))
      (image[2, 0], image[3, 0]) = (SIMD3(0, 0, 255), SIMD3(12, 200, 77))
      try image.writePNG(to: "\(folder)/a.png")
      // Image.open("a.png").convert("L")
      #expect(try HoleMask(contentsOf: "\(folder)/a.png").levels == [76, 150, 29, 130])
    }
  }

  @Test("known pixels stay as they are, the hole comes from the result")
  func composite() {
    let image = ImageBuffer(width: 8, height: 6, pixels: (0..<144).map { UInt8($0) })
    let result = ImageBuffer(width: 8, height: 6, gray: 200)
    let shown = Self.mask.composite(result, over: image)
    let black = Self.mask.masked(image)
    for y in 0..<6 {
      for x in 0..<8 {
        #expect(shown[x, y] == (x < 4 ? SIMD3(200, 200, 200) : image[x, y]))
        #expect(black[x, y] == (x < 4 ? SIMD3(0, 0, 0) : image[x, y]))
      }
    }
    var soft = Self.mask
    soft.levels[0] = 51  // a fifth of the picture
    #expect(
      soft.composite(result, over: ImageBuffer(width: 8, height: 6, gray: 100))[0, 0].x == 180)
    #expect(Self.mask.inverted().area == 0.5 && Self.mask.inverted().isHole(7, 0))
  }

  @Test("masks are cropped and scaled as their pictures are")
  func fitted() {
    // The hole is the right third of a wide picture: the middle square has its last sixth.
    let wide = HoleMask(width: 24, height: 12, levels: (0..<288).map { $0 % 24 < 16 ? 255 : 0 })
    let fitted = wide.fitted(.centerCrop(6), image: wide.size)
    #expect(fitted.size == ImageSize(width: 6, height: 6))
    #expect(fitted.levels == (0..<36).map { $0 % 6 < 5 ? 255 : 0 })
  }

  @Test("masks are found by the names of the pictures")
  func names() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.createDirectory(
        atPath: "\(folder)/faces", withIntermediateDirectories: true)
      for name in ["a.png", "faces/b.png"] { try Self.mask.writePNG(to: "\(folder)/\(name)") }
      let masks = try MaskFolder(folder)
      for name in ["a.jpg", "images/a.png", "faces/b.webp"] {
        #expect(try masks.mask(of: name, size: Self.size) == Self.mask)
      }
      #expect(
        message { try masks.file(of: "faces/c.jpg") }.hasPrefix(
          "66 \(folder): no mask of faces/c.jpg; expected faces/c.png."))
      #expect(
        message { try masks.mask(of: "a.jpg", size: ImageSize(width: 8, height: 8)) }
          == "65 \(folder)/a.png: a mask of 8×6; expected 8×8 like a.jpg.")
      try HoleMask(Self.size).writePNG(to: "\(folder)/d.png")
      #expect(
        message { try MaskFolder(folder).mask(of: "d.jpg", size: Self.size) }.hasPrefix(
          "65 \(folder)/d.png: no hole: every pixel is white"))
      try Data("no picture".utf8).write(to: URL(fileURLWithPath: "\(folder)/e.png"))
      #expect(
        message { try MaskFolder(folder).mask(of: "e.jpg", size: Self.size) }.hasPrefix(
          "65 \(folder)/e.png, byte 0: neither PNG, JPEG nor WebP"))
      try Self.mask.writePNG(to: "\(folder)/a.webp")
      #expect(message { try MaskFolder(folder) }.contains("two masks, a."))
    }
    #expect(message { try MaskFolder("/nowhere/masks") }.hasPrefix("66 /nowhere/masks"))
  }

  /// Status and message of the error.
  private func message(_ body: () throws -> some Any) -> String {
    do {
      _ = try body()
      return "nothing thrown"
    } catch let error as UserError {
      return "\(error.status.rawValue) \(error)"
    } catch { return "\(error)" }
  }
}
