import Foundation
import Testing

/// Where the reference cases and hostile files lie, and folders to write into.
enum FormatFixtures {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Fixtures").path

  static func file(_ name: String) -> String { folder + "/files/" + name }
  static func referenceCase(_ name: String) -> String { folder + "/" + name + ".safetensors" }
}

/// A fresh folder that is removed with this object.
final class ScratchFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "/flowdata-\(getpid())-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  static func / (folder: ScratchFolder, name: String) -> String { folder.path + "/" + name }
}

/// Flips one bit of the file.
func flipBit(inByte byte: Int, of path: String) throws {
  let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
  defer { try? handle.close() }
  try handle.seek(toOffset: UInt64(byte))
  let old = try #require(try handle.read(upToCount: 1)?.first)
  try handle.seek(toOffset: UInt64(byte))
  try handle.write(contentsOf: Data([old ^ 1]))
}
