import ArgumentParser
import Diagnostics
import FlowData
import Foundation

extension ExifPolicy: ExpressibleByArgument {}
extension BrokenPolicy: ExpressibleByArgument {}
extension ResizeFilter: ExpressibleByArgument {}

/// Which pictures of a set, and how they are read: `--subset --exif`.
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
