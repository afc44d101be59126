import Foundation
import RunFormat
import Testing

/// Fields of a protocol buffer, in the order of the bytes.
private struct ProtobufReader {
  enum Value: Equatable { case varint(UInt64), fixed64(UInt64), data([UInt8]), fixed32(UInt32) }

  static func fields(_ bytes: [UInt8]) throws -> [(field: Int, value: Value)] {
    var rest = bytes[...]
    var fields: [(Int, Value)] = []
    while !rest.isEmpty {
      let key = try varint(&rest)
      let value: Value
      switch key & 7 {
      case 0: value = .varint(try varint(&rest))
      case 1: value = .fixed64(integer(try take(&rest, 8)))
      case 2: value = .data(try take(&rest, Int(varint(&rest))))
      case 5: value = .fixed32(integer(try take(&rest, 4)))
      default: throw Failure.wireType
      }
      fields.append((Int(key >> 3), value))
    }
    return fields
  }

  enum Failure: Error { case wireType, short }

  static func integer<I: FixedWidthInteger>(_ bytes: [UInt8]) -> I {
    bytes.reversed().reduce(0) { $0 << 8 | I($1) }
  }

  static func take(_ rest: inout ArraySlice<UInt8>, _ count: Int) throws -> [UInt8] {
    guard rest.count >= count else { throw Failure.short }
    defer { rest = rest.dropFirst(count) }
    return Array(rest.prefix(count))
  }

  private static func varint(_ rest: inout ArraySlice<UInt8>) throws -> UInt64 {
    var (value, shift): (UInt64, UInt64) = (0, 0)
    while let byte = rest.popFirst() {
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw Failure.short
  }
}

/// Data of the records of a file, with both checksums checked.
private func records(_ path: String) throws -> [[UInt8]] {
  var rest = Array(try Data(contentsOf: URL(fileURLWithPath: path)))[...]
  var records: [[UInt8]] = []
  while !rest.isEmpty {
    let length = try ProtobufReader.take(&rest, 8)
    let lengthCRC: UInt32 = ProtobufReader.integer(try ProtobufReader.take(&rest, 4))
    #expect(lengthCRC == CRC32C.masked(length))
    let data = try ProtobufReader.take(&rest, ProtobufReader.integer(length))
    let dataCRC: UInt32 = ProtobufReader.integer(try ProtobufReader.take(&rest, 4))
    #expect(dataCRC == CRC32C.masked(data))
    records.append(data)
  }
  return records
}

@Suite struct TensorBoardTests {
  /// RFC 3720, appendix B.4, and the check value of the catalogue of parametrised CRCs.
  static let checksums: [([UInt8], UInt32)] = [
    ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
    ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
    ([UInt8](0..<32), 0x46DD_794E),
    ([UInt8]((0..<32).reversed()), 0x113F_DB5C),
    (Array("123456789".utf8), 0xE306_9283),
    ([], 0),
  ]

  @Test("CRC-32C of known bytes", arguments: checksums)
  func checksum(_ bytes: [UInt8], _ expected: UInt32) {
    #expect(CRC32C.checksum(bytes) == expected)
  }

  /// What TensorBoard's own record writer makes of the version event of wall time 0.
  @Test("the frame of a record, byte for byte")
  func frame() {
    let event: [UInt8] = [9, 0, 0, 0, 0, 0, 0, 0, 0, 26, 13] + Array("brain.Event:2".utf8)
    let head: [UInt8] = [24, 0, 0, 0, 0, 0, 0, 0, 163, 127, 75, 34]
    #expect(TFRecord.frame(event) == head + event + [238, 223, 40, 163])
  }

  @Test("version, scalars and a picture, decoded")
  func events() throws {
    let scratch = try ScratchFolder()
    let writer = try TensorBoardWriter(folder: scratch.path, host: "node7", time: 1_700_000_000.5)
    #expect(writer.path == "\(scratch.path)/events.out.tfevents.1700000000.node7.\(getpid())")
    let png = [UInt8](0...255) + [UInt8](0...255)
    try writer.scalars([("loss", 0.5), ("lr", 1e-4)], step: 300, time: 2)
    try writer.image("samples", png: png, width: 640, height: 480, step: 1 << 33, time: 3)
    let events = try records(writer.path).map(ProtobufReader.fields)
    #expect(events.count == 3)

    #expect(events[0].map(\.field) == [1, 3])
    #expect(events[0][0].value == .fixed64(1_700_000_000.5.bitPattern))
    #expect(events[0][1].value == .data(Array("brain.Event:2".utf8)))

    #expect(events[1].map(\.field) == [1, 2, 5])
    #expect(events[1][0].value == .fixed64(2.0.bitPattern))
    #expect(events[1][1].value == .varint(300))
    let scalars = try messages(events[1][2].value)
    #expect(scalars.map(\.field) == [1, 1])
    for (scalar, expected) in zip(scalars, [("loss", Float(0.5)), ("lr", 1e-4)]) {
      let value = try messages(scalar.value)
      #expect(value.map(\.field) == [1, 2])
      #expect(value[0].value == .data(Array(expected.0.utf8)))
      #expect(value[1].value == .fixed32(expected.1.bitPattern))
    }

    #expect(events[2][1].value == .varint(1 << 33))
    let entry = try messages(try messages(events[2][2].value)[0].value)
    #expect(entry.map(\.field) == [1, 4])
    let image = try messages(entry[1].value)
    #expect(image.map(\.field) == [1, 2, 3, 4])
    #expect(image.map(\.value) == [.varint(480), .varint(640), .varint(3), .data(png)])
  }

  private func messages(
    _ value: ProtobufReader.Value
  ) throws -> [(field: Int, value: ProtobufReader.Value)] {
    guard case .data(let bytes) = value else { throw ProtobufReader.Failure.wireType }
    return try ProtobufReader.fields(bytes)
  }
}
