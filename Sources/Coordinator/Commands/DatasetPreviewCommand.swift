import ArgumentParser
import Diagnostics
import FlowData
import Foundation

/// `latentflow dataset preview`
struct DatasetPreviewCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "preview",
    abstract: "Draws a contact sheet: pictures from the whole set, evenly spread.",
    discussion: """
      Pictures are shown as encode would read them. Those that cannot be read stay grey and are
      named on standard error.

      Example:
        latentflow dataset preview photos --out sheet.png --count 64 --size 128
        latentflow dataset preview ade20k:ADEChallengeData2016 --masks --out sheet.png
      """)

  @Argument(help: "The set of pictures.")
  var data: String
  @Option(help: "The PNG to write.")
  var out: String
  @Option(help: "Number of pictures.")
  var count = 64
  @Option(help: "Pictures in a row.")
  var columns = 8
  @Flag(help: "Each picture's label map beside it, in colours.")
  var masks = false
  @OptionGroup var fitting: FitOptions
  @OptionGroup var pictures: PictureOptions

  func validate() throws {
    guard (1...4096).contains(count) else {
      throw ValidationError("--count \(count): expected 1 to 4096.")
    }
    guard (1...256).contains(columns) else {
      throw ValidationError("--columns \(columns): expected 1 to 256.")
    }
  }

  func run() throws {
    let source = try pictures.open(data)
    let masked = source as? any MaskedImageSource
    guard !masks || masked != nil else {
      throw UserError(
        .usage, "--masks", found: "a set without label maps",
        expected: "celebamask, ade20k, coco-stuff or shapes")
    }
    let fit = fitting.fit ?? .centerCrop(128)
    let shown = min(count, source.count)
    var tiles: [ImageBuffer] = []
    for k in 0..<shown {
      let i = k * source.count / shown
      tiles.append(try tile(source, i, fit))
      if masks, let masked { tiles.append(try colored(masked.mask(i), side: fit.size)) }
    }
    let across = masks ? max(2, columns / 2 * 2) : columns
    try ImageGrid(columns: across).compose(tiles).writePNG(to: out)
    try StandardOutput.write("\(shown) of \(source.count) pictures: \(out)\n")
  }

  private func tile(_ source: any ImageSource, _ i: Int, _ fit: ImageFit) throws -> ImageBuffer {
    do {
      let image = try source.contents(i).decoded(name: source.place(i), exif: pictures.exif)
      return image.fitted(fit, index: i)
    } catch let error as UserError where error.status == .badData {
      StandardError.say("broken: \(error)")
      return ImageBuffer(width: fit.size, height: fit.size, gray: 128)
    }
  }

  /// Nearest neighbours of the middle square, a colour per label; what is unlabelled is white.
  private func colored(_ map: LabelMap, side: Int) -> ImageBuffer {
    let short = min(map.width, map.height)
    let (left, top) = ((map.width - short) / 2, (map.height - short) / 2)
    var image = ImageBuffer(width: side, height: side, gray: 0)
    for y in 0..<side {
      for x in 0..<side {
        let label = map.labels[
          (top + y * short / side) * map.width + left + x * short / side]
        image[x, y] = color(label)
      }
    }
    return image
  }

  /// Bits of the label, least significant first, become the high bits of red, green and blue in
  /// turn, as PASCAL VOC colours its maps: 0 is black, near labels differ widely.
  private func color(_ label: UInt8) -> SIMD3<UInt8> {
    if label == 255 { return SIMD3(repeating: 255) }
    var color = SIMD3<UInt8>()
    for bit in 0..<8 where label >> UInt8(bit) & 1 == 1 { color[bit % 3] |= 0x80 >> UInt8(bit / 3) }
    return color
  }
}
