import FlowData
import Foundation
import TestSupport
import Testing

@Suite struct NumPyWriterTests {
  private static let values: [Double] = [0.1, -2, .pi, 1e-300, 5, 6]

  @Test("an archive of every type comes back as it was")
  func archive() throws {
    let path = NSTemporaryDirectory() + "numpy-\(UUID().uuidString).npz"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try NumPyWriter.write(
      [
        .init("sigma", [2, 3], doubles: Self.values),
        .init("mu", [2], floats: [1.5, -0.25]),
        .init("arr_0", [1, 2, 2, 1], bytes: [0, 7, 128, 255]),
        .init("arr_1", [3], ints: [-1, 0, 1 << 40]),
      ], toArchive: path)
    let file = try TensorFile.open(path)
    #expect(Set(file.names) == ["sigma", "mu", "arr_0", "arr_1"])
    #expect(try file.doubles("sigma") == Self.values)
    #expect(try file.shape("sigma") == [2, 3] && file.shape("arr_0") == [1, 2, 2, 1])
    #expect(try file.doubles("mu") == [1.5, -0.25])
    #expect(try file.doubles("arr_0") == [0, 7, 128, 255])
    #expect(try file.doubles("arr_1") == [-1, 0, Double(1 << 40)])
  }

  @Test("LFM's pickled dictionary comes back as it was")
  func dictionary() throws {
    let path = NSTemporaryDirectory() + "numpy-\(UUID().uuidString).npy"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try NumPyWriter.write(
      dictionary: [
        .init("mu", [2], doubles: [1.5, -0.25]), .init("sigma", [2, 3], doubles: Self.values),
      ], toFile: path)
    let file = try TensorFile.open(path)
    #expect(file.names == ["mu", "sigma"])
    #expect(try file.doubles("mu") == [1.5, -0.25])
    #expect(try file.doubles("sigma") == Self.values && file.shape("sigma") == [2, 3])
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    #expect((bytes.firstIndex(of: 0x80) ?? 1) % 64 == 0)
  }

  /// NEP 1: magic, version, length of the header, a literal that ends with a line, data at a
  /// multiple of 64; numpy reads an archive's member by its name without «.npy».
  @Test("members have the header that numpy reads")
  func header() throws {
    let path = NSTemporaryDirectory() + "numpy-\(UUID().uuidString).npz"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try NumPyWriter.write([.init("sigma", [2, 3], doubles: Self.values)], toArchive: path)
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    // A zip's local header: 30 bytes and the name, then the member, stored.
    #expect(data.prefix(4) == Data([0x50, 0x4B, 3, 4]))
    let name = data.range(of: Data("sigma.npy".utf8))
    #expect(name?.lowerBound == 30)
    let start = try #require(data.range(of: Data([0x93] + Array("NUMPY".utf8)))).lowerBound
    #expect(Array(data[start + 6..<start + 8]) == [1, 0])
    let length = Int(data[start + 8]) | Int(data[start + 9]) << 8
    #expect((10 + length) % 64 == 0)
    let text = String(decoding: data[start + 10..<start + 10 + length], as: UTF8.self)
    #expect(
      text.hasPrefix("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3,), }")
        && text.hasSuffix("\n"), "\(text)")
    let body = data[start + 10 + length..<start + 10 + length + 48]
    #expect(Data(Self.values.withUnsafeBytes { Array($0) }) == body)
  }
}
