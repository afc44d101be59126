import Diagnostics
import FlowComm
import FlowData
import Foundation

/// `broken.json`: the pictures that a run left out, and why.
struct BrokenList: Codable {
  static let fileName = "broken.json"
  var source: String
  /// Pictures of the whole set.
  var total: Int
  var pictures: [BrokenPicture]

  /// Pictures that are put behind others have a list of their own.
  static func fileName(of source: String, appended: Bool) -> String {
    guard appended else { return fileName }
    let hash = Array(source.utf8).withUnsafeBytes { sha256Hex(of: $0) }
    return "broken-\(hash.prefix(8)).json"
  }

  /// The list beside what was made of the rest; nil where nobody looked.
  static func read(in folder: String, file: String = fileName) throws -> BrokenList? {
    let path = "\(folder)/\(file)"
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    do {
      return try JSONDecoder().decode(
        BrokenList.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    } catch is DecodingError {
      throw UserError(.badData, path, found: "no list of broken pictures", expected: "one")
    }
  }

  func write(in folder: String, file: String = fileName) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try Disk.local.createFolders(folder)
    try Disk.local.writeAtomically(
      Array(try encoder.encode(self)), to: "\(folder)/\(file)")
  }

  func rest(of source: any ImageSource) throws -> any ImageSource {
    guard !pictures.isEmpty else { return source }
    guard pictures.count < source.count else {
      throw UserError(
        .badData, source.path, found: "no picture that can be read (\(pictures[0].reason))",
        expected: "at least one")
    }
    return try SelectedImages(source, without: pictures.map(\.name))
  }
}

extension Job {
  /// Collective: `source` without its broken pictures, which each rank finds in its share of the
  /// set. All ranks go on with the same pictures, and rank 0 writes the list into `folder`.
  ///
  /// - Parameter reusing: take the list that lies in `folder`, if there is one of this set.
  func withoutBroken(
    _ source: any ImageSource, listIn folder: String, file: String = BrokenList.fileName,
    reusing: Bool = false
  ) throws -> any ImageSource {
    let old = try communicator.together {
      reusing && isCoordinator ? try BrokenList.read(in: folder, file: file) : nil
    }
    let reuses = try communicator.allReduce(
      [old.map { $0.total == source.count && $0.source == source.path } == true ? 1 : 0], .max)
    let list = reuses[0] == 1 ? old : try findBroken(source)
    let shared = try communicator.together {
      isCoordinator ? [UInt8](try JSONEncoder().encode(list)) : []
    }
    let bytes = try communicator.broadcast(shared, from: 0)
    return try communicator.together {
      let list = try JSONDecoder().decode(BrokenList.self, from: Data(bytes))
      if isCoordinator {
        if reuses[0] == 0 { try list.write(in: folder, file: file) }
        if !list.pictures.isEmpty {
          StandardError.say(
            "warning: \(list.pictures.count) of \(list.total) pictures are broken and left out: "
              + "\(folder)/\(file)")
        }
      }
      return try list.rest(of: source)
    }
  }

  /// Collective; the same list on all ranks.
  private func findBroken(_ source: any ImageSource) throws -> BrokenList {
    let (n, size) = (source.count, communicator.size)
    let own = try communicator.together {
      try JSONEncoder().encode(try source.broken(in: n * rank / size..<n * (rank + 1) / size))
    }
    let shares = try communicator.allGather(Array(own))
    return try communicator.together {
      BrokenList(
        source: source.path, total: n,
        pictures: try shares.flatMap {
          try JSONDecoder().decode([BrokenPicture].self, from: Data($0))
        })
    }
  }
}
