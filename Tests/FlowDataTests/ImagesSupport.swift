import Diagnostics
import FlowData
import Foundation
import Testing

let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().appendingPathComponent("Fixtures").path

/// The byte tensors of a reference file, read with the least that can read them.
struct ReferenceBytes {
  private let data: Data
  private let header: [String: Any]
  private let start: Int

  init(_ name: String) throws {
    data = try Data(contentsOf: URL(fileURLWithPath: "\(fixtures)/\(name)"))
    let length = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    start = 8 + length
    header = try JSONSerialization.jsonObject(with: data[8..<start]) as! [String: Any]
  }

  func bytes(_ key: String) throws -> (shape: [Int], data: [UInt8]) {
    let entry = try #require(header[key] as? [String: Any], "no tensor \(key)")
    let range = entry["data_offsets"] as! [Int]
    return (entry["shape"] as! [Int], Array(data[start + range[0]..<start + range[1]]))
  }

  func floats(_ key: String) throws -> (shape: [Int], data: [Float]) {
    let (shape, data) = try bytes(key)
    return (shape, data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) })
  }

  /// A [H, W, 3] tensor of bytes.
  func image(_ key: String) throws -> ImageBuffer {
    let (shape, data) = try bytes(key)
    return ImageBuffer(width: shape[1], height: shape[0], pixels: data)
  }
}

/// A new folder that is removed after `body`.
func withTemporaryFolder<R>(_ body: (String) throws -> R) throws -> R {
  let folder = FileManager.default.temporaryDirectory
    .appendingPathComponent("latentflow-\(UUID().uuidString)").path
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  return try body(folder)
}

/// The error that `body` throws to a person.
func userError(_ body: () throws -> Void) throws -> UserError {
  try #require(throws: UserError.self, performing: body)
}

/// The largest difference of any two samples.
func largestDifference(_ a: ImageBuffer, _ b: ImageBuffer) -> Int {
  guard a.size == b.size else { return 256 }
  return zip(a.pixels, b.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 0
}
