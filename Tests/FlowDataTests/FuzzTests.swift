import FlowData
import Foundation
import TestSupport
import Testing

/// Parsers against changed fixtures, and against small files that ask for much; the process that
/// reads them is the one whose memory counts.
@Suite(.serialized)
struct FuzzTests {
  private func fuzz(
    _ arguments: [String]
  ) throws -> (status: Int32, stdout: String, stderr: String) {
    let program = Bundle.main.bundleURL.appendingPathComponent("fuzz-parsers").path
    return try runProcess(program, arguments, timeout: 300)
  }

  @Test("20,000 changed files end in tensors or in a UserError")
  func mutations() throws {
    let ended = try fuzz(["--count", "20000", "--seed", "1"])
    #expect(ended.status == 0, "\(ended.stderr)")
    #expect(ended.stdout.contains("20000 inputs"))
    // A parser that refuses everything, or nothing, would show nothing.
    let read = ended.stdout.matches(of: #/: (\d+) inputs, (\d+) still read/#)
    #expect(read.count >= 6)
    for row in read {
      let (inputs, accepted) = (Int(row.output.1) ?? 0, Int(row.output.2) ?? 0)
      #expect(inputs > 1000 && accepted > 20 && accepted < inputs, "\(row.output.0)")
    }
  }

  /// Growth of a process that reads `files` one after the other, in bytes.
  private func growth(_ files: [String]) throws -> Int {
    let ended = try fuzz(["--measure"] + files)
    #expect(ended.status == 0, "\(ended.stderr)")
    return Int(ended.stdout.split(separator: "\n").last ?? "") ?? .max
  }

  @Test("reading every case takes no more than 64 MiB")
  func memory() throws {
    #expect(try growth(FileCase.all.map(\.path)) < 64 << 20)
  }

  @Test(
    "headers of many small values get no more than twice their size and 64 MiB",
    arguments: [
      ("tensors", #""%": {"dtype":"U8","shape":[],"data_offsets":[0,0]}"#),
      ("lists", #""%": [[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0]]"#),
      ("objects", #""%": {"":{}}"#),
      ("numbers", #""%": [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]"#),
    ])
  func headers(_ name: String, _ member: String) throws {
    let scratch = try ScratchFolder()
    let members = (0..<59_999).map { member.replacing("%", with: String($0, radix: 16)) }
    let header = Array("{\(members.joined(separator: ","))}".utf8)
    let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
    let path = scratch / "many.safetensors"
    try Data(length + header).write(to: URL(fileURLWithPath: path))
    #expect(try growth([path]) < 2 * header.count + (64 << 20))
  }

  @Test(
    "greedy pickles get no more than twice their size and 64 MiB",
    arguments: [
      ("lists", [0x5D], 4 << 20), ("marks", [0x28], 16 << 20), ("tuples", [0x29, 0x85], 4 << 20),
      ("memo", [0x4E, 0x94], 8 << 20), ("doubles", [0x4E, 0x32], 16 << 20),
      ("dictionaries", [0x7D, 0x4B, 0, 0x5D, 0x73], 4 << 20),
      ("lists of one", [0x5D, 0x4E, 0x61], 6 << 20),
    ] as [(String, [UInt8], Int)])
  func greed(_ name: String, _ unit: [UInt8], _ size: Int) throws {
    let scratch = try ScratchFolder()
    // The magic number, protocol, system of the legacy form; then the pickle.
    let start: [UInt8] = [
      0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
      0x80, 2, 0x4D, 0xE9, 3, 0x2E, 0x80, 2, 0x7D, 0x2E, 0x80, 2,
    ]
    var bytes = Data(capacity: size + 64)
    bytes.append(contentsOf: start)
    while bytes.count < size { bytes.append(contentsOf: unit) }
    try bytes.write(to: URL(fileURLWithPath: scratch / "greedy.pth"))
    #expect(try growth([scratch / "greedy.pth"]) < 2 * size + (64 << 20))
  }
}
