import Diagnostics
import FlowData
import Foundation
import Testing

@Suite("Image folders") struct ImagesFolderTests {
  /// Writes an image of one grey level, making the folders above it.
  private func put(_ path: String, side: Int = 8, gray: UInt8 = 7) throws {
    let folder = (path as NSString).deletingLastPathComponent
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try ImageBuffer(width: side, height: side, gray: gray).writePNG(to: path)
  }

  private func put(_ path: String, text: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
  }

  private func link(_ path: String, to target: String) throws {
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
  }

  @Test func subfoldersAreClassesInBytewiseOrder() throws {
    try withTemporaryFolder { folder in
      for name in ["b/2.png", "b/10.png", "a/x.PNG", "Z/deep/er/y.png", "Z/a.png", "é/1.png"] {
        try put("\(folder)/\(name)")
      }
      let jpeg = "\(fixtures)/files/image_gray.jpg"
      try FileManager.default.copyItem(atPath: jpeg, toPath: "\(folder)/a/photo.JPEG")
      let images = try PreparedImages(ImageFolder(folder), fit: .centerCrop(8))
      #expect(images.classNames == ["Z", "a", "b", "é"])
      #expect((0..<images.count).map { images.name($0) } == [
        "Z/a.png", "Z/deep/er/y.png", "a/photo.JPEG", "a/x.PNG", "b/10.png", "b/2.png", "é/1.png",
      ])
      #expect((0..<images.count).map { images.label($0) } == [0, 0, 1, 1, 2, 2, 3])
      for i in 0..<images.count {
        #expect(try images.image(i).size == ImageSize(width: 8, height: 8))
      }
      try images.checkHeaders()
    }
  }

  @Test func flatFoldersHaveNoLabelsAndCountWhatTheyLeaveOut() throws {
    try withTemporaryFolder { folder in
      try put("\(folder)/2.png", gray: 2)
      try put("\(folder)/1.png", gray: 1)
      try put("\(folder)/.hidden.png")
      try put("\(folder)/.git/x.png")
      try put("\(folder)/notes.txt", text: "hello")
      try put("\(folder)/README", text: "hello")
      let images = try ImageFolder(folder)
      #expect(images.classNames == nil && images.classCount == nil && images.label(0) == nil)
      #expect((0..<images.count).map { images.name($0) } == ["1.png", "2.png"])
      #expect(try images.image(1).pixels[0] == 2)
      #expect(images.skipped == ImageFolder.Skipped(hidden: 2, otherFiles: 2))
    }
  }

  @Test func linksToFilesAndClassFoldersAreFollowed() throws {
    try withTemporaryFolder { folder in
      try put("\(folder)/store/cats/1.png", gray: 1)
      try put("\(folder)/store/other.png", gray: 9)
      try put("\(folder)/set/dogs/2.png", gray: 2)
      try link("\(folder)/set/cats", to: "\(folder)/store/cats")
      try link("\(folder)/set/dogs/3.png", to: "\(folder)/store/other.png")
      // A link upwards would never end.
      try link("\(folder)/set/dogs/up", to: "\(folder)/set")
      let images = try ImageFolder("\(folder)/set")
      #expect((0..<images.count).map { images.name($0) } == [
        "cats/1.png", "dogs/2.png", "dogs/3.png",
      ])
      #expect(try images.image(2).pixels[0] == 9)

      try link("\(folder)/set/dogs/4.png", to: "\(folder)/gone.png")
      let error = try userError { _ = try ImageFolder("\(folder)/set") }
      #expect(error.subject.hasSuffix("dogs/4.png") && error.found == "a link to nothing")
    }
  }

  @Test func greyAndAlphaBecomeRGB() throws {
    try withTemporaryFolder { folder in
      for name in ["image_gray8.png", "image_rgba8.png", "image_rgb8.png"] {
        try FileManager.default.copyItem(
          atPath: "\(fixtures)/files/\(name)", toPath: "\(folder)/\(name)")
      }
      let reference = try ReferenceBytes("files/images.expected.safetensors")
      let images = try ImageFolder(folder)
      for (i, name) in ["gray8", "rgb8", "rgba8"].enumerated() {
        #expect(try images.image(i) == reference.image("\(name).rgb"))
      }
    }
  }

  @Test func whatIsWrongIsNamed() throws {
    try withTemporaryFolder { folder in
      let missing = try userError { _ = try ImageFolder("\(folder)/none") }
      #expect(missing.status == .missingInput && missing.subject == "\(folder)/none")

      let empty = try userError { _ = try ImageFolder(folder) }
      #expect(empty.status == .badData && empty.found.hasPrefix("no images"))

      try put("\(folder)/zero/a/0.png")
      try put("\(folder)/zero/a/1.png", text: "")
      let zero = try userError { _ = try ImageFolder("\(folder)/zero") }
      #expect(zero.status == .badData && zero.subject.hasSuffix("zero/a/1.png"))
      #expect(zero.found == "0 bytes")

      try put("\(folder)/both/a/0.png")
      try put("\(folder)/both/0.png")
      let both = try userError { _ = try ImageFolder("\(folder)/both") }
      #expect(both.found == "images (0.png) beside folders (a)")

      try put("\(folder)/hollow/a/0.png")
      try FileManager.default.createDirectory(
        atPath: "\(folder)/hollow/b", withIntermediateDirectories: true)
      let hollow = try userError { _ = try ImageFolder("\(folder)/hollow") }
      #expect(hollow.subject.hasSuffix("hollow/b"))
    }
  }

  @Test func mixedSizesNeedASize() throws {
    try withTemporaryFolder { folder in
      try put("\(folder)/1.png", side: 8)
      try put("\(folder)/2.png", side: 12)
      let images = try PreparedImages(ImageFolder(folder))
      #expect(try images.image(0).width == 8)
      for check in [{ _ = try images.image(1) }, { try images.checkHeaders() }] {
        let error = try userError(check)
        #expect(error.status == .badData && error.subject == "\(folder)/2.png")
        #expect(error.found == "an image of 12×12" && error.expected == "8×8 like 1.png")
        #expect(error.advice?.contains("--size") == true)
      }
      let fitted = try PreparedImages(ImageFolder(folder), fit: .resizeCrop(10))
      #expect(try fitted.image(0).width == 10 && fitted.image(1).width == 10)
      try fitted.checkHeaders()
    }
  }

  /// Everything that changes what is read changes the fingerprint; nothing else does.
  @Test func fingerprintFollowsTheContents() throws {
    try withTemporaryFolder { folder in
      try put("\(folder)/a/1.png", gray: 1)
      try put("\(folder)/b/2.png", gray: 2)
      let first = try ImageFolder(folder).fingerprint()
      #expect(first.count == 64)
      try put("\(folder)/b/.hidden.png")
      #expect(try ImageFolder(folder).fingerprint() == first)
      try put("\(folder)/b/2.png", gray: 2)
      #expect(try ImageFolder(folder).fingerprint() == first)
      let preparations = [
        Preparation(), Preparation(fit: .centerCrop(8)), Preparation(exif: .apply),
      ]
      var seen = try ImageFolder(folder).fingerprints(preparations)
      #expect(seen[0] == first)
      try put("\(folder)/b/2.png", gray: 3)
      seen.append(try ImageFolder(folder).fingerprint())
      try FileManager.default.moveItem(atPath: "\(folder)/b/2.png", toPath: "\(folder)/b/3.png")
      seen.append(try ImageFolder(folder).fingerprint())
      try FileManager.default.moveItem(atPath: "\(folder)/b", toPath: "\(folder)/c")
      seen.append(try ImageFolder(folder).fingerprint())
      #expect(Set(seen).count == 6)
    }
  }
}
