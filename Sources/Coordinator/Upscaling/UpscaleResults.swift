import ArgumentParser
import Diagnostics
import FlowData
import Foundation
import RunFormat
import Worker

/// `--out` and `--grid`.
struct UpscaleResultOptions: ParsableArguments {
  @Option(help: "A new or empty folder for PNGs under the names of the pictures.")
  var out: String?
  @Option(
    help: """
      A PNG with a row for each picture, the first 16: as it is given (nearest pixels), bicubic, \
      result.
      """)
  var grid: String?

  static let gridRows = 16

  func validate() throws {
    guard out != nil || grid != nil else {
      throw ValidationError("give one or both of --out FOLDER and --grid FILE.")
    }
  }

  func checkPlaces() throws {
    if let out { try Preflight.requireEmptyOrNew(out) }
    if let grid { try Preflight.requireWritableFolder(parentFolder(of: grid)) }
  }
}

/// On rank 0: takes enlarged pictures as they come, writes them, and counts.
final class UpscaleResults {
  private let options: UpscaleResultOptions
  private let names: [String]
  private let progress: PictureProgress
  private var rows: [Int: [ImageBuffer]] = [:]
  /// Evaluations of every picture, by number.
  private(set) var evaluations: [Int: Int] = [:]

  init(_ options: UpscaleResultOptions, _ names: [String]) {
    (self.options, self.names) = (options, names)
    progress = PictureProgress(of: names.count)
  }

  var seconds: Double { progress.seconds }

  func take(_ picture: UpscaledPicture) throws {
    if let out = options.out {
      let path = "\(out)/\(names[picture.index]).png"
      try Disk.local.createFolders(parentFolder(of: path))
      try picture.image.writePNG(to: path)
    }
    if let low = picture.low {
      let (width, height) = (picture.image.width, picture.image.height)
      rows[picture.index] = [
        low.resized(width: width, height: height, .box),
        low.resized(width: width, height: height, .bicubic), picture.image,
      ]
    }
    evaluations[picture.index] = picture.evaluations
    progress.update(evaluations.count)
  }

  func finish(_ record: UpscaleRecord) throws {
    progress.finish()
    if let grid = options.grid {
      let pictures = rows.sorted { $0.key < $1.key }.flatMap(\.value)
      let width = pictures.map(\.width).max()!
      let height = pictures.map(\.height).max()!
      try ImageGrid(columns: 3).compose(
        pictures.map { $0.onGround(width: width, height: height) }
      ).writePNG(to: grid)
    }
    if let out = options.out {
      _ = try Disk.local.writeAtomically(Array(record.json.utf8), to: "\(out)/upscale.json")
    }
  }
}

extension ImageBuffer {
  /// In the upper left corner of a larger picture, white elsewhere.
  fileprivate func onGround(width: Int, height: Int) -> ImageBuffer {
    if width == self.width && height == self.height { return self }
    var result = ImageBuffer(width: width, height: height, gray: 255)
    for y in 0..<self.height {
      result.pixels.replaceSubrange(
        y * width * 3..<(y * width + self.width) * 3,
        with: pixels[y * self.width * 3..<(y + 1) * self.width * 3])
    }
    return result
  }
}
