import Diagnostics
import FlowData
import Foundation
import Testing

@Suite("Shapes writer") struct ShapesWriterTests {
  @Test func writtenSetReadsBackAsDrawn() throws {
    try withTemporaryFolder { folder in
      var steps: [Int] = []
      let path = "\(folder)/new/set"
      try writeShapes(to: path, count: 20, size: 32, seed: 5, startIndex: 7) { steps.append($0) }
      #expect(steps == Array(1...20))

      let drawn = ShapesDataset(size: 32, seed: 5, count: 20, startIndex: 7)
      let read = try ImageFolder(path)
      #expect(read.count == 20 && read.classNames == ShapeClass.names && read.classCount == 16)
      #expect(read.skipped == ImageFolder.Skipped())
      for i in 0..<20 {
        #expect(try read.image(i) == drawn.image(i))
        #expect(read.label(i) == drawn.label(i))
        #expect(read.name(i) == "images/\(drawn.name(i))")
        let mask = try LabelMap(contentsOf: "\(path)/masks/\(drawn.name(i))")
        #expect(mask == drawn.draw(i).mask)
      }
      let description = try #require(try ImageSetDescription(folder: path))
      let made = ImageSetDescription.Shapes(size: 32, seed: 5, startIndex: 7)
      #expect(description.shapes == made)
      #expect(description.count == 20 && description.masks == "masks")
    }
  }

  @Test func sameArgumentsMakeTheSameBytes() throws {
    try withTemporaryFolder { folder in
      for name in ["a", "b"] {
        try writeShapes(to: "\(folder)/\(name)", count: 5, size: 64, seed: 1)
      }
      let files = try FileManager.default.subpathsOfDirectory(atPath: "\(folder)/a")
      #expect(files.filter { $0.contains(".") }.count == 12)
      for file in files where file.contains(".") {
        #expect(
          try sha256Hex(ofFile: "\(folder)/a/\(file)")
            == sha256Hex(ofFile: "\(folder)/b/\(file)"), "\(file)")
      }
      #expect(
        try ImageFolder("\(folder)/a").fingerprint()
          == ImageFolder("\(folder)/b").fingerprint())
    }
  }

  @Test func refusals() throws {
    try withTemporaryFolder { folder in
      try Data("x".utf8).write(to: URL(fileURLWithPath: "\(folder)/file"))
      try FileManager.default.createDirectory(
        atPath: "\(folder)/empty", withIntermediateDirectories: true)
      try writeShapes(to: "\(folder)/empty", count: 1, size: 16, seed: 0)

      let full = try userError { try writeShapes(to: folder, count: 1, size: 64, seed: 0) }
      #expect(full.status == .io && full.found == "a folder with 2 entries")
      let file = try userError {
        try writeShapes(to: "\(folder)/file", count: 1, size: 64, seed: 0)
      }
      #expect(file.status == .io && file.found == "a file")
      let below = try userError {
        try writeShapes(to: "\(folder)/file/set", count: 1, size: 64, seed: 0)
      }
      #expect(below.status == .io && below.subject == "\(folder)/file/set")
      let none = try userError { try writeShapes(to: "\(folder)/n", count: 0, size: 64, seed: 0) }
      #expect(none.status == .usage && none.subject == "--count")
      let small = try userError { try writeShapes(to: "\(folder)/s", count: 1, size: 8, seed: 0) }
      #expect(small.status == .usage && small.subject == "--size")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/s"))
    }
  }

  @Test func theFolderHasTheSetsOwnMaps() throws {
    try withTemporaryFolder { folder in
      try writeShapes(to: "\(folder)/set", count: 4, size: 32, seed: 7)
      let (set, read) = (
        ShapesDataset(size: 32, seed: 7, count: 4), try ImageFolder("\(folder)/set")
      )
      #expect(read.mapClasses == 17)
      for i in 0..<4 { #expect(try read.map(i) == set.mask(i)) }
      let fitted = try PreparedImages(read, fit: .centerCrop(16)).map(2)
      #expect(
        fitted == set.mask(2).fitted(.centerCrop(16), image: ImageSize(width: 32, height: 32)))

      let file = "\(folder)/set/masks/000001.png"
      for (map, found) in [
        (LabelMap(width: 8, height: 8, labels: [UInt8](repeating: 1, count: 64)), "a map of 8×8"),
        (LabelMap(width: 32, height: 32, labels: [UInt8](repeating: 17, count: 1024)), "label 17"),
      ] {
        try map.writePNG(to: file)
        let error = try userError { _ = try read.map(1) }
        #expect(error.status == .badData && error.subject == file && error.found == found)
      }
      try FileManager.default.removeItem(atPath: file)
      #expect(try userError { _ = try read.map(1) }.status == .missingInput)
      // A folder that describes nothing has none.
      let plain = try ImageFolder("\(folder)/set/images")
      #expect(try plain.mapClasses == nil && plain.map(0) == nil)
    }
  }

  /// What an interrupted writer leaves is named as such, and never taken for something else.
  @Test func unfinishedOrEditedSetsAreRefused() throws {
    try withTemporaryFolder { folder in
      let labels = "file,label\n000000.png,3\n000001.png,4\n"
      let rows: [(change: String?, place: String?, found: String)] = [
        (nil, nil, "No such file"),
        ("file,label\n000000.png,3\n", nil, "1 labels for 2 images"),
        (labels.replacingOccurrences(of: "01.png", with: "07.png"), nil, "no label for images/"),
        (labels.replacingOccurrences(of: ",4", with: ",16"), "line 3", "label 16"),
        (labels.replacingOccurrences(of: ",4", with: ",-1"), "line 3", "label -1"),
        (labels.replacingOccurrences(of: ",4", with: ",four"), "line 3", "\"000001.png,four\""),
        (labels.replacingOccurrences(of: "01.png", with: "00.png"), "line 3", "a second label"),
        ("name;class\n", "line 1", "\"name;class\""),
      ]
      for (i, row) in rows.enumerated() {
        let path = "\(folder)/\(i)"
        try writeShapes(to: path, count: 2, size: 16, seed: 1)
        let file = "\(path)/labels.csv"
        try FileManager.default.removeItem(atPath: file)
        if let change = row.change { try Data(change.utf8).write(to: URL(fileURLWithPath: file)) }
        let error = try userError { _ = try ImageFolder(path) }
        #expect(error.status == (row.change == nil ? .missingInput : .badData))
        #expect(error.subject == file && error.place == row.place, "\(error)")
        #expect(error.found.hasPrefix(row.found), "\(error)")
      }
      for text in ["{", "[]", "{\"format\": \"other\"}"] {
        let path = "\(folder)/0/dataset.json"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        let error = try userError { _ = try ImageFolder("\(folder)/0") }
        #expect(error.status == .badData && error.subject == path)
      }
    }
  }
}
