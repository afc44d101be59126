import ArgumentParser
import Diagnostics
import FlowData
import Foundation
import RunFormat

/// `latentflow dataset masks`
struct DatasetMasksCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "masks",
    abstract: "Draws holes for inpainting: a mask for each picture of a set.",
    discussion: """
      Masks are grey PNGs under the names of the pictures: black in the hole, white where the
      picture is kept, as LFM's and LaMa's are. The mask of picture i is a function of seed, i, the
      size and, for kinds that hide by label, of the label map.

      Kinds:
      \(MaskGenerator.Kind.allCases.map(line).joined(separator: "\n"))

      Examples:
        latentflow dataset masks photos --size 256 --kind thick --out masks --preview masks.png
        latentflow dataset masks photos --size 256 --kind boxes:sides=30-150,times=1-3 --out masks
        latentflow dataset masks photos --size 256 --kind mixed:strokes=2,boxes=1 --out masks
        latentflow dataset masks shapes:256@64#1 --kind shape:hidden=0.25-0.5 --out masks
      """)

  private static func line(_ kind: MaskGenerator.Kind) -> String {
    "  " + kind.rawValue.padding(toLength: 11, withPad: " ", startingAt: 0) + kind.summary
  }

  @Argument(help: "The set of pictures.")
  var data: String
  @Option(help: "Kind of mask, KIND or KIND:name=value,…")
  var kind = MaskGenerator.Kind.mixed.rawValue
  @Option(help: "Number of masks, of the first pictures. (default: all)")
  var count: Int?
  @Option(help: "A new or empty folder.")
  var out: String
  @Option(help: "A PNG of the first pictures, each beside itself with its hole.")
  var preview: String?
  @Option(help: "Pictures of the preview.")
  var previewCount = 32
  @OptionGroup var fitting: FitOptions
  @OptionGroup var pictures: PictureOptions
  @OptionGroup var seeding: SeedOptions

  func validate() throws {
    if let count, count < 1 { throw ValidationError("--count \(count): expected at least 1.") }
    guard (1...4096).contains(previewCount) else {
      throw ValidationError("--preview-count \(previewCount): expected 1 to 4096.")
    }
  }

  func run() throws {
    let generator = try MaskGenerator(kind)
    let source = try PreparedImages(
      try pictures.open(data), Preparation(fit: fitting.fit, exif: pictures.exif))
    let total = count ?? source.count
    guard total <= source.count else {
      throw UserError(
        .badData, data, found: "\(source.count) pictures", expected: "at least \(total)")
    }
    guard !generator.needsMap || source.mapClasses != nil else {
      throw UserError(
        .usage, "--kind", found: "\(kind) on a set without label maps",
        expected: "celebamask, ade20k, coco-stuff or shapes, or another kind")
    }
    try Preflight.requireEmptyOrNew(out)
    if let preview { try Preflight.requireWritableFolder(parentFolder(of: preview)) }
    let (areas, tiles) = try draw(generator, source, total)
    if let preview { try ImageGrid(columns: 8).compose(tiles).writePNG(to: preview) }
    try record(areas)
    let mean = areas.reduce(0, +) / Double(areas.count)
    try StandardOutput.write(
      String(
        format: "%d masks, holes of %.1f %% on average (%.1f to %.1f): %@\n", total, 100 * mean,
        100 * areas.min()!, 100 * areas.max()!, out))
  }

  private func draw(
    _ generator: MaskGenerator, _ source: PreparedImages, _ total: Int
  ) throws -> (areas: [Double], tiles: [ImageBuffer]) {
    let progress = PictureProgress(of: total, interval: total)
    var areas: [Double] = []
    var tiles: [ImageBuffer] = []
    for i in 0..<total {
      let mask = try generator.mask(
        try source.size(i), map: generator.needsMap ? try source.map(i) : nil,
        seed: seeding.seed ?? 0, index: i, place: source.place(i))
      let file = "\(out)/\(HoleMask.fileName(of: source.name(i)))"
      try Disk.local.createFolders(parentFolder(of: file))
      try mask.writePNG(to: file)
      areas.append(mask.area)
      if preview != nil, i < previewCount {
        let image = try source.image(i)
        tiles += [image, mask.masked(image)]
      }
      progress.update(i + 1)
    }
    progress.finish()
    return (areas, tiles)
  }

  /// masks.json: how the masks were made.
  private func record(_ areas: [Double]) throws {
    let record = MaskRecord(
      data: data, kind: kind, count: areas.count, seed: seeding.seed ?? 0,
      size: fitting.fit?.size, areaMean: areas.reduce(0, +) / Double(areas.count),
      version: LatentFlow.version)
    _ = try Disk.local.writeAtomically(Array(reportJSON(record).utf8), to: "\(out)/masks.json")
  }
}

/// What the masks of a folder are a function of.
private struct MaskRecord: Encodable {
  var data: String
  var kind: String
  var count: Int
  var seed: UInt64
  var size: Int?
  var areaMean: Double
  var version: String
}
