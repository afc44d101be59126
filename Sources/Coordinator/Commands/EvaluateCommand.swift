import ArgumentParser
import Diagnostics
import FlowData
import FlowTensor
import Foundation
import RunFormat
import Worker

/// `latentflow evaluate`
struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Draws samples over all ranks and computes figures with their provenance.",
    discussion: """
      The same figure on any number of ranks (with equal threads each). No picture touches the disk
      unless asked for; features of finished items are kept, so that a killed run goes on. Without
      Inception weights the distance is that of the autoencoder's features and not called FID.

      Examples:
        mpirun -np 8 latentflow evaluate runs/celeba --count 50000 --reference celeba.npz \\
          --inception pt_inception-2015-12-05.pth
        scripts/run.sh 2 latentflow evaluate runs/demo --count 512 --reference data/shapes-heldout
      """)

  @Argument(help: "A run folder, a checkpoint folder, or a weights file.")
  var model: String
  @Option(help: "Number of samples.")
  var count: Int
  @Option(help: "Statistics (.npz, .npy, .safetensors), or a data set of real images.")
  var reference: String
  @Option(help: "Real images to use. (default: all)")
  var referenceCount: Int?
  @Option(
    name: .customLong("figures"),
    help: "Between commas: \(FigureKind.allCases.map(\.rawValue).joined(separator: ", ")).")
  var figureNames = "frechet"
  @Option(help: "The report, JSON. (default: evaluation.json in the run folder, else here)")
  var out: String?
  @Option(help: "Folder of finished items. (default: evaluations/ beside the report)")
  var work: String?
  @Option(help: "Write all samples as PNGs into this new or empty folder.")
  var pictures: String?
  @Option(help: "uniform (drawn), all (in turn), or numbers in turn, as 0,5,2.")
  var labels = "uniform"
  @Option(help: "Scale s of classifier-free guidance, u + s·(c − u); 1 is none.")
  var cfg: Double = 1
  @Option(help: "Samples go through the bytes of a file first: none, png, jpeg.")
  var via = "none"
  @Option(help: "Quality of --via jpeg.")
  var quality = 75
  @Flag(help: "Round levels down, as LFM does, rather than to the nearest.")
  var truncate = false
  @Flag(help: "Use the trained parameters rather than their running average.")
  var noEma = false
  @Option(help: "The first stage, if it has moved since training.")
  var autoencoder: String?
  @OptionGroup var judging: FeatureOptions
  @OptionGroup var solving: SolverOptions
  @OptionGroup var seeding: SeedOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard count > 1 else { throw ValidationError("--count \(count): expected at least 2.") }
    guard (1...100).contains(quality) else {
      throw ValidationError("--quality \(quality): expected 1 to 100.")
    }
    guard PixelPipeline.File(rawValue: via) != nil else {
      throw ValidationError("--via \(via): expected none, png or jpeg.")
    }
    _ = try kinds()
  }

  private func kinds() throws -> [FigureKind] {
    try figureNames.split(separator: ",").map { word in
      guard let kind = FigureKind(rawValue: String(word)) else {
        let names = FigureKind.allCases.map(\.rawValue)
        let near = nearestName(to: String(word), among: names)
        throw ValidationError(
          "--figures \(word): unknown"
            + (near.map { "; did you mean \($0)?" }
              ?? "; expected \(names.joined(separator: ", "))."))
      }
      return kind
    }
  }
}
