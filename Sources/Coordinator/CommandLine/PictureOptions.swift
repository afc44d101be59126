import ArgumentParser
import Diagnostics
import FlowComm
import FlowData
import Foundation

extension ExifPolicy: ExpressibleByArgument {}
extension BrokenPolicy: ExpressibleByArgument {}
extension ResizeFilter: ExpressibleByArgument {}

/// Which pictures of a set, and how they are read: `--subset --exif --broken`.
struct PictureOptions: ParsableArguments {
  @Option(help: "A file of picture names, one a line: only these. (dataset split writes such)")
  var subset: String?
  @Option(help: "Turn pictures as their EXIF notes say (apply), or not (ignore).")
  var exif = ExifPolicy.ignore

  func open(_ location: String) throws -> any ImageSource {
    try openImages(ImageLocation(location), subset: subset)
  }
}

/// Opens `location`; of its pictures only those that the file `subset` names, one a line.
func openImages(_ location: ImageLocation, subset: String?) throws -> any ImageSource {
  let source = try location.open()
  guard let subset else { return source }
  try Preflight.requireFile(subset, "a list of picture names")
  let names = try String(contentsOfFile: subset, encoding: .utf8)
    .split(whereSeparator: \.isNewline).map(String.init)
  guard !names.isEmpty else {
    throw UserError(.badData, subset, found: "no names", expected: "a picture's name a line")
  }
  return try SelectedImages(source, named: names)
}

/// How pictures become squares: `--size --crop --filter`.
struct FitOptions: ParsableArguments {
  enum Crop: String, ExpressibleByArgument, CaseIterable {
    /// ADM's centre crop, LFM's choice.
    case adm
    /// `Resize` and `CenterCrop`.
    case torchvision
    case random, stretch
  }

  @Option(help: "Crop and scale all images to this side in pixels.")
  var size: Int?
  @Option(
    help: """
      adm (centre: box halving, bicubic), torchvision (centre: antialiased bilinear), random \
      (ADM's random crop, one per picture) or stretch.
      """)
  var crop = Crop.adm
  @Option(help: "What stretch resamples with: box (area), bilinear, bicubic or lanczos.")
  var filter = ResizeFilter.bicubic
  @Option(help: "Seed of random crops.")
  var cropSeed: UInt64 = 0

  func validate() throws {
    if let size, !(1...maximumImageSide).contains(size) {
      throw ValidationError("--size \(size): expected 1 to \(maximumImageSide).")
    }
    if size == nil, crop != .adm { throw ValidationError("--crop needs --size.") }
  }

  var fit: ImageFit? {
    guard let size else { return nil }
    switch crop {
    case .adm: return .centerCrop(size)
    case .torchvision: return .resizeCrop(size)
    case .random: return .randomCrop(size, seed: cropSeed)
    case .stretch: return .stretch(size, filter)
    }
  }
}

/// `broken.json`: the pictures that a run left out.
struct BrokenList: Codable {
  static let fileName = "broken.json"
  var source: String
  var count: Int
  var pictures: [BrokenPicture]

  /// The list beside what was made of the rest; nil where nothing was left out.
  static func read(in folder: String) throws -> BrokenList? {
    let path = "\(folder)/\(fileName)"
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    do {
      return try JSONDecoder().decode(
        BrokenList.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    } catch is DecodingError {
      throw UserError(.badData, path, found: "no list of broken pictures", expected: "one")
    }
  }
}

extension Job {
  /// Collective: `source` without its broken pictures, which each rank finds in its share of the
  /// set; all ranks go on with the same pictures, and rank 0 writes the list into `folder`.
  func withoutBroken(_ source: any ImageSource, listIn folder: String) throws -> any ImageSource {
    let (n, size) = (source.count, communicator.size)
    let own = try communicator.together {
      try JSONEncoder().encode(try source.broken(in: n * rank / size..<n * (rank + 1) / size))
    }
    let shares = try communicator.allGather(Array(own))
    return try communicator.together {
      let broken = try shares.flatMap {
        try JSONDecoder().decode([BrokenPicture].self, from: Data($0))
      }
      if isCoordinator { try record(broken, of: source, in: folder) }
      guard !broken.isEmpty else { return source }
      guard broken.count < n else {
        throw UserError(
          .badData, source.path, found: "no picture that can be read (\(broken[0].reason))",
          expected: "at least one")
      }
      return try SelectedImages(source, without: broken.map(\.name))
    }
  }

  private func record(
    _ broken: [BrokenPicture], of source: any ImageSource, in folder: String
  ) throws {
    let path = "\(folder)/\(BrokenList.fileName)"
    try Disk.local.createFolders(folder)
    guard !broken.isEmpty else { return try Disk.local.remove(path) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let list = BrokenList(source: source.path, count: broken.count, pictures: broken)
    try Disk.local.writeAtomically(Array(try encoder.encode(list)), to: path)
    StandardError.say(
      "warning: \(broken.count) of \(source.count) pictures are broken and left out: \(path)")
  }
}
