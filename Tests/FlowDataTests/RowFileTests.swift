import Diagnostics
import FlowData
import Foundation
import TestSupport
import Testing

@Suite struct RowFileTests {
  private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = NSTemporaryDirectory() + "row-file-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder)
  }

  /// 3 bytes a row, 4 rows an item.
  private func open(_ folder: String, count: Int) throws -> RowFile {
    try RowFile(folder: folder, rowBytes: 3, itemRows: 4, count: count)
  }

  private func bytes(_ item: Int, rows: Int = 4) -> [UInt8] {
    (0..<3 * rows).map { UInt8(100 * item + $0 + 1) }
  }

  @Test("items of any order are kept, and are there when the file is opened again")
  func kept() throws {
    try withFolder { folder in
      do {
        let rows = try open(folder, count: 10)
        #expect(rows.itemCount == 3 && rows.remaining == [0, 1, 2])
        try rows.write(item: 2, bytes(2, rows: 2))
        try rows.write(item: 0, bytes(0))
        #expect(rows.remaining == [1])
      }
      let again = try open(folder, count: 10)
      #expect(again.remaining == [1] && again.isDone(2) && !again.isDone(1))
      #expect(try again.read(0..<4) == bytes(0))
      #expect(try again.read(8..<10) == bytes(2, rows: 2))
      #expect(try again.read(1..<3) == Array(bytes(0)[3..<9]))
    }
  }

  @Test("more or fewer rows: whole items stay, one that was or becomes short is made again")
  func counts() throws {
    try withFolder { folder in
      do {
        let rows = try open(folder, count: 10)
        for (item, count) in [(0, 4), (1, 4), (2, 2)] {
          try rows.write(item: item, bytes(item, rows: count))
        }
      }
      #expect(try open(folder, count: 14).remaining == [2, 3])
      #expect(try open(folder, count: 7).remaining == [1])
      #expect(try open(folder, count: 10).remaining == [])
    }
  }

  @Test("what is damaged counts as not done, and nothing else", arguments: 0..<6)
  func damaged(_ kind: Int) throws {
    try withFolder { folder in
      do {
        let rows = try open(folder, count: 12)
        for item in 0..<3 { try rows.write(item: item, bytes(item)) }
      }
      let (data, journal) = ("\(folder)/rows.bin", "\(folder)/items.txt")
      var content = try Data(contentsOf: URL(fileURLWithPath: kind == 0 ? data : journal))
      switch kind {
      case 0: content[13] ^= 1  // a row of item 1
      case 1: content.removeLast(5)  // a line that was not finished: item 2
      case 2: content[90] ^= 1  // the hash of item 1
      case 3: content[content.count - 30] = 0xFF  // not text: the hash of item 2
      case 4: content = Data()
      default: content += Data("7 4 00\n-1 4 00\n\nnothing\n".utf8)
      }
      try content.write(to: URL(fileURLWithPath: kind == 0 ? data : journal))
      let expected = [[1], [2], [1], [2], [0, 1, 2], []][kind]
      do {
        let rows = try open(folder, count: 12)
        #expect(rows.remaining == expected)
        for item in expected { try rows.write(item: item, bytes(item)) }
      }
      // Also behind a line that was torn.
      let mended = try open(folder, count: 12)
      #expect(mended.remaining == [])
      #expect(try mended.read(4..<8) == bytes(1))
    }
  }

  @Test("rows that were cut off are made again")
  func short() throws {
    try withFolder { folder in
      do {
        let rows = try open(folder, count: 8)
        try rows.write(item: 0, bytes(0))
        try rows.write(item: 1, bytes(1))
      }
      #expect(truncate("\(folder)/rows.bin", 20) == 0)
      #expect(try open(folder, count: 8).remaining == [1])
    }
  }

  @Test("a second writer is refused")
  func locked() throws {
    try withFolder { folder in
      let first = try open(folder, count: 4)
      let error = #expect(throws: UserError.self) { try open(folder, count: 4) }
      #expect(error?.status == .io && "\(error!)".contains("another process writes these rows"))
      withExtendedLifetime(first) {}
    }
  }
}
