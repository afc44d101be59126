import ArgumentParser
import Diagnostics
import FlowData
import RunFormat

/// `latentflow dataset …`
struct DatasetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dataset", abstract: "Makes and inspects image sets.",
    discussion: """
      Example:
        latentflow dataset shapes --out data/shapes --count 8192 --size 64
        latentflow dataset info photos
        latentflow dataset preview photos --out sheet.png
        latentflow dataset split photos --parts train=0.9,val=0.1 --out photos-parts
        latentflow dataset pack photos --out photos.tar
      """,
    subcommands: [
      Shapes.self, DatasetInfoCommand.self, DatasetPreviewCommand.self, DatasetSplitCommand.self,
      DatasetPackCommand.self, DatasetLatentsCommand.self, DatasetMasksCommand.self,
      JudgeCommand.self,
    ])

  struct Shapes: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Draws the shapes set: anti-aliased coloured shapes, labels, segmentation masks.",
      discussion: """
        The same arguments give the same bytes. Image i is a function of seed, size and i alone.

        Example:
          latentflow dataset shapes --out data/shapes --count 8192 --size 64
        """)

    @Option(help: "A new or empty folder.")
    var out: String
    @Option(help: "Number of images.")
    var count: Int
    @Option(help: "Side in pixels.")
    var size = 64
    @Option(help: "Index of the first image.")
    var start = 0
    @OptionGroup var seeding: SeedOptions

    func run() throws {
      try Preflight.requireEmptyOrNew(out)
      let progress = ProgressLine()
      try writeShapes(
        to: out, count: count, size: size, seed: seeding.seed ?? 0, startIndex: start
      ) { done in
        progress.update(RunProgress(step: done, total: count), isLogged: done == count)
      }
      progress.finish()
      try StandardOutput.write("\(count) images, \(ShapeClass.count) classes: \(out)\n")
    }
  }
}
