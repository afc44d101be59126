import Diagnostics
import FlowData
import FlowTensor
import Foundation
import Testing

@Suite(.serialized)
struct SafetensorsReadTests {
  /// A row per file: what the message must name.
  static let refused: [(file: String, place: String, found: String)] = [
    ("overlap", "tensor \"b\"", "inside the tensor before it"),
    ("out_of_range", "tensor \"a\"", "[0, 16]"),
    ("offset_far", "tensor \"a\"", "4611686018427387904"),
    ("reversed_offsets", "tensor \"a\"", "[4, 0]"),
    ("negative_offset", "tensor \"a\"", "data_offsets"),
    ("header_too_long", "byte 0", "9223372036854775813"),
    ("header_beyond_file", "byte 0", "1000000 bytes in a file of 73"),
    ("header_over_100mb", "byte 0", "100000001"),
    ("hole", "tensor \"b\"", "beyond the tensor before it"),
    ("trailing_bytes", "byte 73", "5 bytes that belong to no tensor"),
    ("shape_mismatch", "tensor \"a\"", "shape [3] of F32 in 8 bytes"),
    ("shape_overflow", "tensor \"a\"", "1099511627776"),
    ("negative_shape", "tensor \"a\"", "no shape of whole numbers"),
    ("float_shape", "tensor \"a\"", "no shape of whole numbers"),
    ("unknown_dtype", "tensor \"a\"", "F33"),
    ("duplicate_keys", "byte 62", "key \"a\" appears twice"),
    ("duplicate_keys_same_range", "byte 62", "key \"a\" appears twice"),
    ("not_json", "byte 61", "expected , or } in an object"),
    ("not_object", "byte 8", "no {"),
    ("invalid_utf8", "byte 10", "not valid UTF-8"),
    ("deep_json", "byte ", "levels deep"),
    ("metadata_not_string", "__metadata__", "an integer under \"a\""),
    ("missing_field", "tensor \"a\"", "no shape"),
    ("short_file", "", "3 bytes"),
    ("zero_header", "byte 8", "an empty header"),
  ]

  @Test("hostile files are refused, and the message names the place", arguments: refused)
  func refuses(_ row: (file: String, place: String, found: String)) throws {
    let path = FormatFixtures.file("bad_safetensors_\(row.file).safetensors")
    let error = #expect(throws: UserError.self) { try SafetensorsFile(path) }
    #expect(error?.status == .badData)
    #expect(error?.subject == path)
    let place = error?.place ?? ""
    let found = error?.found ?? ""
    #expect(place.hasPrefix(row.place) && place.isEmpty == row.place.isEmpty, "\(place)")
    #expect(found.contains(row.found))
  }

  @Test("every hostile file has a row, and every good one too")
  func rowsAreComplete() throws {
    let folder = FormatFixtures.folder + "/files"
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
    let bad = names.filter { $0.hasPrefix("bad_safetensors_") }.sorted()
    #expect(bad == Self.refused.map { "bad_safetensors_\($0.file).safetensors" }.sorted())
    let good = names.filter { $0.hasPrefix("safetensors_good_") }.sorted()
    #expect(good == Self.read.map { "safetensors_good_\($0.file).safetensors" }.sorted())
  }

  typealias Good = (
    file: String, names: [String], type: SafetensorsType, dims: [Int], firstBytes: [UInt8]
  )

  /// Names in the order of their data; type, shape and bytes of the last one.
  static let read: [Good] = [
    ("empty_file", [], .f32, [], []),
    ("minimal", ["a"], .f32, [2], [0, 1, 2, 3, 4, 5, 6, 7]),
    ("padded_header", ["a"], .f32, [2], [0, 1, 2, 3, 4, 5, 6, 7]),
    ("scalar_empty", ["s", "e"], .f32, [0, 3], []),
    ("unaligned", ["a", "b"], .f32, [2], [3, 4, 5, 6, 7, 8, 9, 10]),
    ("unicode_key", ["é\"\\x"], .i16, [2, 2], [0, 1, 2, 3, 4, 5, 6, 7]),
    ("unordered", ["a", "b"], .u8, [3], [5, 6, 7]),
  ]

  @Test("good files are read", arguments: read)
  func reads(_ row: Good) throws {
    let file = try SafetensorsFile(
      FormatFixtures.file("safetensors_good_\(row.file).safetensors"))
    #expect(file.names == row.names)
    guard let last = row.names.last else { return }
    #expect(try file.dtype(last) == row.type)
    #expect(try file.shape(last) == Shape(row.dims))
    #expect(try Array(file.bytes(last)) == row.firstBytes)
    #expect(file.metadata == (row.file == "unicode_key" ? ["k": "v\n中"] : [:]))
    if row.file == "unaligned" {
      let error = #expect(throws: UserError.self) { try file.floats("b") }
      #expect(error?.place == "tensor \"b\"")
      // Little-endian bytes 3, 4, 5, 6: unaligned data are copied.
      #expect(try file.tensor("b").values[0].bitPattern == 0x0605_0403)
    }
  }

  @Test("unknown tensors name the nearest one; missing files and folders say so")
  func worldErrors() throws {
    let file = try SafetensorsFile(FormatFixtures.referenceCase("A_dit_p2_uncond"))
    let missing = #expect(throws: UserError.self) { try file.tensor("outputs.oot") }
    #expect(missing?.advice == "the nearest name is outputs.out")
    let floats = #expect(throws: UserError.self) { try file.ints("outputs.out") }
    #expect(floats?.found == "type F32")
    let none = #expect(throws: UserError.self) { try SafetensorsFile("no/such/file") }
    #expect(none?.status == .missingInput)
    let folder = #expect(throws: UserError.self) { try SafetensorsFile(FormatFixtures.folder) }
    #expect(folder?.found == "no regular file")
  }

  @Test("element types widen exactly")
  func types() throws {
    let scratch = try ScratchFolder()
    let path = scratch / "types.safetensors"
    func bytes<T>(_ values: [T]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }
    let rows: [(SafetensorsType, [UInt8], [Double])] = [
      (.f64, bytes([-0.1, 1e300]), [-0.1, 1e300]),
      (.f32, bytes([Float(0.1), -2]), [Double(Float(0.1)), -2]),
      // 1, the largest half, the smallest subnormal half, −2, infinity
      (.f16, bytes([0x3C00, 0x7BFF, 0x0001, 0xC000, 0x7C00] as [UInt16]),
        [1, 65504, 0x1p-24, -2, .infinity]),
      (.bf16, bytes([0x3F80, 0xC049, 0x0001] as [UInt16]), [1, -3.140625, 0x1p-133]),
      (.i64, bytes([Int64(-1), 1 << 40]), [-1, 0x1p40]),
      (.i32, bytes([Int32.min, 7]), [-0x1p31, 7]),
      (.i16, bytes([Int16.min, 7]), [-32768, 7]),
      (.i8, bytes([Int8.min, 7]), [-128, 7]),
      (.u8, [0, 255], [0, 255]),
      (.bool, [0, 1], [0, 1]),
    ]
    for (type, raw, expected) in rows {
      try raw.withUnsafeBytes {
        _ = try SafetensorsWriter.write(
          [SafetensorsTensor("x", type, [expected.count], $0)], to: path)
      }
      let file = try SafetensorsFile(path)
      #expect(try file.doubles("x") == expected, "\(type)")
      #expect(try file.tensor("x").values == expected.map { Float($0) }, "\(type)")
      if ![.f64, .f32, .f16, .bf16].contains(type) {
        #expect(try file.ints("x") == expected.map { Int($0) }, "\(type)")
      }
    }
  }

  @Test(
    "strict JSON",
    arguments: [
      ("{\"a\":1,}", 7), ("[1,2", 4), ("01", 1), ("1.", 2), ("-", 1), ("\"\\q\"", 2), ("tru", 3),
      ("\"\\ud800\"", 3), ("\"a\nb\"", 2), ("[] []", 3), ("1e999", 0), ("", 0), ("{\"a\" 1}", 5),
      ("[1 2]", 3), ("{\"a\":1 2}", 7), ("\"\u{e9}\u{1}\"", 3),
    ])
  func strictJSON(_ text: String, _ byte: Int) {
    let error = #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: text) }
    #expect(error?.byte == byte, "\(error?.reason ?? "")")
  }

  @Test("a header of endless members is refused early")
  func endless() throws {
    let scratch = try ScratchFolder()
    let member = #""": {"dtype": "U8", "shape": ["# + String(repeating: "0,", count: 60_000)
    let header = "{" + member + "0], \"data_offsets\": [0, 0]}}"
    let length = withUnsafeBytes(of: UInt64(header.utf8.count)) { Array($0) }
    try Data(length + header.utf8).write(to: URL(fileURLWithPath: scratch / "many"))
    let error = #expect(throws: UserError.self) { try SafetensorsFile(scratch / "many") }
    #expect(error?.found == "more than 60000 members")
    // The 60,000th comma, after the 8 bytes of length.
    #expect(error?.place == "byte \(8 + 1 + member.utf8.count)")
  }

  @Test("JSON values")
  func values() throws {
    let text = #"{"a":[1,-2.55e1,true,null,"\u00e9\ud83d\ude00\/"],"b":9007199254740993}"#
    let value = try JSONValue(parsing: text)
    #expect(value["a"]?[0]?.int == 1)
    #expect(value["a"]?[1]?.double == -25.5)
    #expect(value["a"]?[2]?.bool == true)
    #expect(value["a"]?[3] == .null)
    #expect(value["a"]?[4]?.string == "é😀/")
    #expect(value["a"]?[5] == nil)
    #expect(value["b"]?.int == 9_007_199_254_740_993)
    let again = try JSONDecoder().decode(JSONValue.self, from: JSONEncoder().encode(value))
    #expect(again == value)
  }
}
