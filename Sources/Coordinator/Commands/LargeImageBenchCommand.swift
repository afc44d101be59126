import ArgumentParser
import Diagnostics
import FlowData
import FlowTensor
import Foundation
import Worker

/// `latentflow bench large`
struct LargeImageBenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "large",
    abstract: "Stable Diffusion's autoencoder on one large image: seconds, memory, error.",
    discussion: """
      Weights and image are functions of their names, so nothing has to be at hand. All ranks share
      the image; scripts/bench-large.sh compares them with the image computed whole.

      Examples:
        latentflow bench large --direction decode --size 1024 --untiled --out whole.npz
        scripts/run.sh 2 latentflow bench large --direction decode --size 1024 --memory 2G \\
          --against whole.npz
      """)

  @Option(help: "encode or decode.")
  var direction = LargeImageBenchmark.Direction.decode
  @Option(help: "Height of the image, a multiple of 8.")
  var size = 1024
  @Option(help: "Width of the image. (default: its height)")
  var width: Int?
  @Flag(help: "The whole image at once, as other commands compute images.")
  var untiled = false
  @Option(help: "Write the result, an .npz archive.")
  var out: String?
  @Option(help: "A result to compare with.")
  var against: String?
  @OptionGroup var limits: MemoryOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    for side in [size, width ?? size] where !(8...16_384).contains(side) || side % 8 != 0 {
      throw ValidationError("a side of \(side): expected a multiple of 8 up to 16384.")
    }
    if untiled, limits.memory != nil { throw ValidationError("--untiled knows no --memory.") }
  }

  private struct Report: Encodable {
    let direction: String
    let height: Int
    let width: Int
    let ranks: Int
    let threads: Int
    let seconds: Double
    /// Of each rank's process, weights and image among it.
    let peakBytes: [Int64]
    /// Root of the squared differences' sum over that of the squares.
    let relativeError: Double?
  }

  func run() throws {
    try Job.run(threading) { job in
      guard !untiled || job.communicator.size == 1 else {
        throw UserError(
          .usage, "--untiled", found: "\(job.communicator.size) ranks", expected: "one")
      }
      let bench = LargeImageBenchmark()
      let x = bench.input(direction, height: size, width: width ?? size)
      let clock = ContinuousClock()
      let begin = clock.now
      let result = try bench.run(
        direction, x, untiled: untiled, job.communicator, memory: limits.memory)
      let seconds = (clock.now - begin).seconds
      let peaks = try job.communicator.allGather([Int64(try peakResidentBytes())]).map { $0[0] }
      try job.communicator.together {
        guard job.isCoordinator else { return }
        try report(
          Report(
            direction: direction.rawValue, height: size, width: width ?? size,
            ranks: job.communicator.size, threads: job.threads, seconds: seconds,
            peakBytes: peaks, relativeError: try against.map { try error(of: result, file: $0) }))
        guard let out else { return }
        try NumPyWriter.write(
          [.init("result", result.shape.dims, floats: result.values)], toArchive: out)
      }
    }
  }

  private func error(of result: Tensor, file: String) throws -> Double {
    let source = try TensorFile.open(file)
    guard source.contains("result"), try source.shape("result") == result.shape else {
      throw UserError(
        .badData, file, found: "no result \(result.shape)",
        expected: "what --out wrote for the same direction and size")
    }
    let expected = try source.tensor("result")
    var (difference, norm) = (0.0, 0.0)
    for i in 0..<result.count {
      let (a, b) = (Double(result.base[i]), Double(expected.base[i]))
      difference += (a - b) * (a - b)
      norm += b * b
    }
    withExtendedLifetime((result, expected)) {}
    return (difference / norm).squareRoot()
  }

  private func report(_ r: Report) throws {
    if output.json { return try StandardOutput.write(json: r) }
    let peaks = r.peakBytes.map { String(format: "%.2f", Double($0) * 1e-9) }
    var text = String(
      format: "%@ %d×%d, %d rank%@ of %d threads: %.1f s, peak %@ GB", r.direction, r.height,
      r.width, r.ranks, r.ranks == 1 ? "" : "s", r.threads, r.seconds,
      peaks.joined(separator: ", "))
    if let error = r.relativeError { text += String(format: ", relative error %.2g", error) }
    try StandardOutput.write(text + "\n")
  }
}

extension LargeImageBenchmark.Direction: ExpressibleByArgument {}
