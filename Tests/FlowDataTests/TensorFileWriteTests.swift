import FlowData
import FlowTensor
import Foundation
import Testing

@Suite(.serialized)
struct TensorFileWriteTests {
  /// Formats to write, with the suffix of the file.
  static let formats = ["safetensors", "pth"]

  private func write(_ source: any TensorSource, _ format: String, to path: String) throws {
    if format == "pth" {
      try PyTorchWriter.writeAtomically(source, to: path)
    } else {
      try SafetensorsWriter.writeAtomically(source, to: path)
    }
  }

  @Test(
    "what is written is read again, bit for bit", arguments: formats,
    [
      "dtypes_views.pth", "content.pth", "lightning.ckpt", "stats.npz", "array_f32_bigendian.npy",
      "safetensors_good_unicode_key.safetensors", "safetensors_good_empty_file.safetensors",
      "model_deflated_zip.pth", "mixed_objects.pth",
    ])
  func roundTrip(_ format: String, _ file: String) throws {
    let scratch = try ScratchFolder()
    let source = try TensorFile.open(FormatFixtures.file(file))
    let path = scratch / "again.\(format)"
    try write(source, format, to: path)
    let again = try TensorFile.open(path)
    #expect(again.format.rawValue == (format == "pth" ? "pytorch" : "safetensors"))
    #expect(Set(again.names) == Set(source.names) && again.metadata == source.metadata)
    for name in source.names {
      #expect(try again.shape(name) == source.shape(name))
      #expect(try again.dtype(name) == source.dtype(name))
      let isEqual = try source.withBytes(name) { bytes in
        try again.withBytes(name) { bytes.elementsEqual($0) }
      }
      #expect(isEqual, "the bytes of \(name)")
    }
    // Equal tensors are equal files, through either format.
    try write(again, format, to: scratch / "third")
    #expect(try FileRecord(ofFile: path) == FileRecord(ofFile: scratch / "third"))
  }

  @Test("every element type goes through both formats", arguments: formats)
  func types(_ format: String) throws {
    let scratch = try ScratchFolder()
    let bytes = (0..<48).map { UInt8($0 * 5) }
    try bytes.withUnsafeBytes { raw in
      let tensors = SafetensorsType.allCases.map { type in
        SafetensorsTensor(
          "of \(type.rawValue)", type, [2, 3],
          UnsafeRawBufferPointer(rebasing: raw[..<(6 * type.width)]))
      }
      try SafetensorsWriter.write(tensors, to: scratch / "types.safetensors")
    }
    let source = try TensorFile.open(scratch / "types.safetensors")
    try write(source, format, to: scratch / "again")
    let again = try TensorFile.open(scratch / "again")
    #expect(again.names.count == SafetensorsType.allCases.count)
    for type in SafetensorsType.allCases {
      let name = "of \(type.rawValue)"
      #expect(try again.dtype(name) == type)
      #expect(try again.withBytes(name) { Array($0) } == Array(bytes.prefix(6 * type.width)))
    }
  }

  @Test("data in a .pth begin at multiples of 64 bytes")
  func alignment() throws {
    let scratch = try ScratchFolder()
    let source = try TensorFile.open(FormatFixtures.file("dtypes_views.pth"))
    try PyTorchWriter.writeAtomically(source, to: scratch / "a.pth")
    let file = try Data(contentsOf: URL(fileURLWithPath: scratch / "a.pth"))
    var members = 0
    var place = 0
    while file[place..<place + 4].elementsEqual([0x50, 0x4B, 3, 4]) {
      func field(_ at: Int) -> Int { Int(file[place + at]) | Int(file[place + at + 1]) << 8 }
      let start = place + 30 + field(26) + field(28)
      #expect(start % 64 == 0)
      place = start + field(18)
      members += 1
    }
    // Pickle, byte order, scalars' absence, storages, version.
    #expect(members == source.names.count + 3)
  }

  @Test("eight-bit floats widen exactly")
  func eightBits() throws {
    let scratch = try ScratchFolder()
    // 1, the largest, the smallest subnormal, −2, NaN
    let rows: [(SafetensorsType, [UInt8], [Float])] = [
      (.f8e4m3, [0x38, 0x7E, 0x01, 0xC0], [1, 448, 0x1p-9, -2]),
      (.f8e5m2, [0x3C, 0x7B, 0x01, 0xC0], [1, 57344, 0x1p-16, -2]),
    ]
    for (type, bytes, expected) in rows {
      try bytes.withUnsafeBytes {
        _ = try SafetensorsWriter.write([SafetensorsTensor("x", type, [4], $0)], to: scratch / "x")
      }
      #expect(try TensorFile.open(scratch / "x").tensor("x").values == expected)
    }
  }
}
